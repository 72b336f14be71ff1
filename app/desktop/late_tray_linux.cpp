#include "app/desktop/late_tray.h"

#include <unistd.h>

#include <QDBusConnection>
#include <QDBusMessage>
#include <QDBusPendingCallWatcher>
#include <QDBusPendingReply>
#include <QDBusVariant>

namespace slipway {
namespace {

constexpr const char* kBegunAnew = "SLIPWAY_DESKTOP_BEGUN_ANEW";

}  // namespace

void askForLateTray(QObject& context, std::function<void()> come)
{
    constexpr const char* kWatcher = "org.kde.StatusNotifierWatcher";
    auto question = QDBusMessage::createMethodCall(kWatcher, "/StatusNotifierWatcher",
                                                   "org.freedesktop.DBus.Properties", "Get");
    question.setArguments({kWatcher, "IsStatusNotifierHostRegistered"});
    question.setAutoStartService(false);
    auto* call =
        new QDBusPendingCallWatcher(QDBusConnection::sessionBus().asyncCall(question), &context);
    QObject::connect(call, &QDBusPendingCallWatcher::finished, &context,
                     [call, come = std::move(come)] {
                         call->deleteLater();
                         QDBusPendingReply<QDBusVariant> answer = *call;
                         if (!answer.isError() && answer.value().variant().toBool()) come();
                     });
}

void beginAnew(char** argv)
{
    if (qEnvironmentVariableIsSet(kBegunAnew)) return;
    qputenv(kBegunAnew, "1");
    ::execv("/proc/self/exe", argv);
}

}  // namespace slipway
