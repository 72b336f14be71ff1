#include "app/desktop/desktop.h"

#include <chrono>
#include <cstdio>

#include <QCoreApplication>

#include "app/desktop/late_tray.h"
#include "app/launcher/bridge_launcher.h"
#include "app/launcher/bridge_process.h"
#include "app/launcher/machine_record.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kLookForTrayEvery{500};
constexpr int kLooksBeforeSayingSo = 10;
constexpr std::chrono::milliseconds kLookEvery{500};
constexpr std::chrono::milliseconds kAnswersWithin{5000};
constexpr std::chrono::milliseconds kHeardWithin{15000};  // A bridge tells its state every 5 s.

}  // namespace

Desktop::Desktop(const Home& home) : m_home(home), m_client(home)
{
    connect(&m_client, &BridgeClient::stateChanged, this, &Desktop::refresh);
    connect(&m_tray, &Tray::startChosen, this,
            [this] { act("start", &BridgeClient::startEngine); });
    connect(&m_tray, &Tray::stopChosen, this, [this] { act("stop", &BridgeClient::stopEngine); });
    connect(&m_tray, &Tray::restartChosen, this,
            [this] { act("restart", &BridgeClient::restartEngine); });
    connect(&m_tray, &Tray::engineChosen, this, [this](const QString& name) {
        m_client.useEngine(name, [this, name](Result<> used) {
            if (!used)
                problem("could not switch to " + name +
                        " containers: " + QString::fromStdString(used.error().message));
        });
    });
    connect(&m_tray, &Tray::quitChosen, qApp, &QCoreApplication::quit);
    connect(&m_tray, &Tray::stopAndQuitChosen, this, [this] { act("stop", &BridgeClient::quit); });
    m_lookAgain.setTimerType(Qt::PreciseTimer);  // A coarse one may come before the time is up.
    connect(&m_lookAgain, &QTimer::timeout, this, &Desktop::look);
    connect(&m_trayWait, &QTimer::timeout, this, &Desktop::waitForTray);
    refresh();
    m_trayWait.start(kLookForTrayEvery);
    waitForTray();
}

Desktop::~Desktop()
{
    if (m_launcher.joinable()) m_launcher.join();
}

void Desktop::waitForTray()
{
    if (QSystemTrayIcon::isSystemTrayAvailable()) {
        m_trayWait.stop();
        m_tray.show();
        return;
    }
    askForLateTray(*this, [] { QCoreApplication::exit(kBeginAnew); });
    if (++m_trayLooks == kLooksBeforeSayingSo)
        std::fprintf(
            stderr,
            "slipway-desktop: this desktop has no tray; the icon appears as soon as there is one. "
            "On GNOME install and enable the extension gnome-shell-extension-appindicator. Without "
            "a tray use the command line: slipway status\n");
}

void Desktop::refresh()
{
    m_heard.start();
    look();
}

// What no bridge tells has to be looked for: that it is silent, that it is gone and the machine
// too.
void Desktop::look()
{
    m_tray.display(view());
    m_lookAgain.start(m_client.state() ? kHeardWithin + kLookEvery : kLookEvery);
}

TrayView Desktop::view() const
{
    const auto& state = m_client.state();
    bool silent = m_heard.hasExpired((state ? kHeardWithin : kAnswersWithin).count());
    if (state && !silent) return trayView(*state);
    if (m_launching) return busyTrayView("the bridge");
    if (bridgeProcess(m_home)) return trayView(silent ? Absence::Silent : Absence::NotYetHeard);
    return trayView(machineRecord(m_home) == MachineRecord::Alive ? Absence::MachineGoesOn
                                                                  : Absence::Stopped);
}

void Desktop::act(const QString& what, Action action)
{
    auto ask = [this, what, action] {
        (m_client.*action)([this, what, action](Result<> done) {
            // A bridge told to end may be gone before its answer is through.
            bool quits = action == &BridgeClient::quit;
            if (!done && !(quits && done.error().code == Code::Unavailable))
                return problem("could not " + what + ": " +
                               QString::fromStdString(done.error().message));
            if (quits) QCoreApplication::quit();
        });
    };
    if (m_client.state()) return ask();
    launchBridgeThen(ask);
}

void Desktop::launchBridgeThen(std::function<void()> next)
{
    if (m_launching) return;
    m_launching = true;
    refresh();
    if (m_launcher.joinable()) m_launcher.join();  // It has posted its result, so it is at its end.
    m_launcher = std::thread([this, next = std::move(next), channel = m_client.channel()] {
        auto launched = launchBridge(m_home, *channel);
        QMetaObject::invokeMethod(
            this,
            [this, next, launched] {
                m_launching = false;
                refresh();
                if (!launched) return problem(QString::fromStdString(launched.error().message));
                m_client.watchNow();
                next();
            },
            Qt::QueuedConnection);
    });
}

void Desktop::problem(const QString& text)
{
    std::fprintf(stderr, "slipway-desktop: %s\n", qPrintable(text));
    m_tray.notifyProblem(text);
}

}  // namespace slipway
