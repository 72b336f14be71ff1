#include "tray/tray_view.h"

#include <QStringList>

namespace slipway {
namespace {

QString nameOf(v1::Condition condition)
{
    switch (condition) {
        case v1::CONDITION_STOPPED:
            return "Stopped";
        case v1::CONDITION_STARTING:
            return "Starting";
        case v1::CONDITION_RUNNING:
            return "Running";
        case v1::CONDITION_DEGRADED:
            return "Degraded";
        case v1::CONDITION_STOPPING:
            return "Stopping";
        default:
            return "Trouble";
    }
}

Look lookOf(v1::Condition condition)
{
    switch (condition) {
        case v1::CONDITION_STOPPED:
            return Look::Stopped;
        case v1::CONDITION_STARTING:
        case v1::CONDITION_STOPPING:
            return Look::Starting;
        case v1::CONDITION_RUNNING:
            return Look::Running;
        case v1::CONDITION_DEGRADED:
            return Look::Degraded;
        default:
            return Look::Trouble;
    }
}

// Where there are two, the one that is not in use.
QString otherEngineOf(const v1::State& state)
{
    for (const auto& engine : state.engines())
        if (!engine.in_use()) return QString::fromStdString(engine.name());
    return {};
}

QStringList detailsOf(const v1::State& state)
{
    QStringList details;
    if (otherEngineOf(state) == "linux") details << "Windows containers";
    if (!state.reason().empty()) details << QString::fromStdString(state.reason());
    bool answers =
        state.condition() == v1::CONDITION_RUNNING || state.condition() == v1::CONDITION_DEGRADED;
    if (answers && !state.engine().version().empty()) {
        details << "Docker " + QString::fromStdString(state.engine().version());
        auto count = state.engine().containers_running();
        details << QString("%1 container%2").arg(count).arg(count == 1 ? "" : "s");
    }
    return details;
}

QString statusOf(const QString& name, const QStringList& details)
{
    return details.isEmpty() ? name : name + ": " + details.join(", ");
}

}  // namespace

TrayView trayView(const v1::State& state)
{
    auto condition = state.condition();
    QStringList details = detailsOf(state);
    TrayView view;
    view.look = lookOf(condition);
    view.status = statusOf(nameOf(condition), details);
    view.toolTip = (QStringList{"Slipway: " + nameOf(condition).toLower()} + details).join('\n');
    for (const auto& warning : state.warnings())
        view.toolTip += "\n! " + QString::fromStdString(warning.text());
    bool settled = condition != v1::CONDITION_STARTING && condition != v1::CONDITION_STOPPING;
    view.canStart = condition == v1::CONDITION_STOPPED || condition == v1::CONDITION_TROUBLE;
    view.canStop = condition != v1::CONDITION_STOPPED && condition != v1::CONDITION_STOPPING;
    view.otherEngine = settled ? otherEngineOf(state) : QString();
    view.canRestart = settled && condition != v1::CONDITION_STOPPED;
    return view;
}

TrayView trayView(Absence absence)
{
    TrayView view;
    switch (absence) {
        case Absence::Stopped:
            view.status = "Stopped";
            view.canStart = true;
            break;
        case Absence::MachineGoesOn:
            view.look = Look::Degraded;
            view.status = "Bridge not running; containers go on";
            view.toolTip = "Ports and endpoint are away: choose Start";
            view.canStart = view.canStop = true;
            break;
        case Absence::NotYetHeard:
            view.look = Look::Starting;
            view.status = "Waiting for the bridge";
            break;
        case Absence::Silent:
            view.look = Look::Trouble;
            view.status = "The bridge does not answer";
            view.toolTip = "In a terminal: slipway status";
            break;
    }
    view.toolTip = QStringList{"Slipway", view.status, view.toolTip}.join('\n').trimmed();
    return view;
}

TrayView busyTrayView(const QString& what)
{
    TrayView view;
    view.look = Look::Starting;
    view.status = "Starting: " + what;
    view.toolTip = "Slipway: starting\n" + what;
    return view;
}

}  // namespace slipway
