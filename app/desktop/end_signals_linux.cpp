#include "app/desktop/end_signals.h"

#include <csignal>

#include <sys/signalfd.h>

#include <QCoreApplication>
#include <QSocketNotifier>

namespace slipway {
namespace {

sigset_t endSignals()
{
    sigset_t set;
    ::sigemptyset(&set);
    for (int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, number);
    return set;
}

}  // namespace

// Every thread made later inherits the mask, so that the signals stay pending until signalfd takes
// them.
void holdEndSignals()
{
    auto set = endSignals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void quitOnEndSignals()
{
    auto set = endSignals();
    int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    auto* notifier = new QSocketNotifier(fd, QSocketNotifier::Read, qApp);
    QObject::connect(notifier, &QSocketNotifier::activated, qApp, &QCoreApplication::quit);
}

}  // namespace slipway
