// `slipway-desktop`: the tray icon of one Slipway.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <QApplication>
#include <QLockFile>

#include "app/desktop/desktop.h"
#include "app/desktop/end_signals.h"
#include "app/desktop/late_tray.h"

namespace slipway {
namespace {

int fail(const std::string& message)
{
    std::fprintf(stderr, "slipway-desktop: %s\n", message.c_str());
    return 1;
}

// Qt ends with abort() where it finds no display; a person gets a sentence and an exit code.
void onQtMessage(QtMsgType type, const QMessageLogContext&, const QString& text)
{
    if (type == QtFatalMsg) {
        fail(
            "no display can be reached: start it in a desktop session. The engine needs none: "
            "slipway start");
        std::_Exit(1);
    }
    std::fprintf(stderr, "slipway-desktop: %s\n", qPrintable(text));
}

int run(int argc, char** argv, const Home& home)
{
    QApplication app(argc, argv);
    QApplication::setApplicationName("slipway-desktop");
    QApplication::setApplicationDisplayName("Slipway");
    QApplication::setQuitOnLastWindowClosed(false);
    quitOnEndSignals();
    std::error_code failed;
    std::filesystem::create_directories(home.runDir(), failed);
    if (failed) return fail("create " + home.runDir().string() + ": " + failed.message());
    QLockFile lock(QString::fromStdString(home.desktopLock().string()));
    lock.setStaleLockTime(0);  // Held for as long as the process lives, however long that is.
    if (!lock.tryLock()) {
        std::fprintf(stderr, "slipway-desktop: the tray of %s is there already\n",
                     home.root.c_str());
        return 0;
    }
    Desktop desktop(home);
    return app.exec();
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    using namespace slipway;
    auto home = slipwayHome();
    if (!home) return fail(home.error().message);
    holdEndSignals();
    qInstallMessageHandler(onQtMessage);
    int exitCode = run(argc, argv, *home);
    if (exitCode == kBeginAnew) beginAnew(argv);
    return exitCode;
}
