// slipway-bridge: serves one SLIPWAY_HOME until it is told to quit.
#include <csignal>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "shared/core/log.h"
#include "shared/core/version.h"
#include "shared/paths/home.h"
#include "shared/paths/program_dir.h"
#include "wsl-bridge/bridge.h"
#include "wsl-bridge/bridge_service.h"
#include "wsl-bridge/home_lock.h"
#include "wsl-bridge/quit_signals.h"

namespace slipway {
namespace {

Result<> serve()
{
    TRY(auto home, slipwayHome());
    TRY(auto user, invokingUser());
    TRY_VOID(makeHome(home, user));
    TRY(auto lock, HomeLock::take(home));
    TRY_VOID(log::toFile(home.logDir() / "bridge.log"));
    log::info("bridge: Slipway {}, home {}, for {}", version(), home.root.string(), user.name);

    Loop loop;
    TRY(auto bridge, Bridge::create(loop, {.home = home,
                                           .user = user,
                                           .binDir = programDir(),
                                           .settings = loadSettings(home.settingsFile()),
                                           .daemonJson = loadDaemonJson(home.daemonJson()),
                                           .ended = [&loop] { loop.stop(); }}));
    TRY(auto service, BridgeService::start(loop, *bridge, home, user));
    QuitSignals signals(loop, [&bridge] { bridge->quit(false, [](Result<>) {}); });
    bridge->adopt();
    loop.run();
    service.reset();
    log::info("bridge: ends");
    return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    CLI::App app{
        "slipway-bridge serves one SLIPWAY_HOME: the engine's endpoint, its ports and its files.\n"
        "It is started by `slipway start` and by the tray; its log is logs/bridge.log in SLIPWAY_HOME.\n"
        "SIGTERM ends it and leaves the engine running; the next bridge takes it over."};
    app.set_version_flag("--version", std::string(slipway::version()));
    CLI11_PARSE(app, argc, argv);
    if (auto served = slipway::serve(); !served) {
        slipway::log::error("bridge: {}", served.error().message);
        std::fprintf(stderr, "slipway-bridge: %s\n", served.error().message.c_str());
        return 1;
    }
    return 0;
}
