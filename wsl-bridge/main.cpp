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
#include "wsl-bridge/files/pin_keeper.h"
#include "wsl-bridge/home_lock.h"
#include "wsl-bridge/quit_signals.h"

namespace slipway {
namespace {

Result<> serve(const Home& home, const User& user)
{
    Loop loop;
    TRY(auto bridge,
        Bridge::create(loop, {.home = home, .user = user, .binDir = programDir(), .ended = [&loop] {
                                  loop.stop();
                              }}));
    TRY(auto service, BridgeService::start(loop, *bridge, home));
    QuitSignals signals(loop, [&loop] {
        log::info("bridge: told to end by a signal");
        loop.stop();
    });
    bridge->lifecycle().adopt();
    loop.run();
    service.reset();
    return {};
}

Result<> runBridge()
{
    TRY(auto home, slipwayHome());
    TRY(auto user, invokingUser());
    TRY_VOID(makeHome(home, user));
    TRY(auto lock, HomeLock::take(home));
    TRY_VOID(log::toFile(home.logDir() / "bridge.log"));
    log::info("bridge: Slipway {}, home {}, for {}", version(), home.root.string(), user.name);
    auto served = serve(home, user);
    if (served)
        log::info("bridge: ends");
    else
        log::error("bridge: {}", served.error().message);
    return served;
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    CLI::App app{
        "slipway-bridge serves one SLIPWAY_HOME: the engine's endpoint, its ports and its files.\n"
        "It is started by `slipway start` and by the tray; its log is logs/bridge.log in "
        "SLIPWAY_HOME.\n"
        "SIGTERM ends it and leaves the engine running; the next bridge takes it over."};
    app.set_version_flag("--version", std::string(slipway::version()));
    auto* keeps = app.add_subcommand("keep-files", "Started by the bridge: see pin_keeper.h");
    CLI11_PARSE(app, argc, argv);
    if (*keeps) return slipway::pinKeeperMain();
    // On stderr, whoever has started it reads what went wrong before there was a log.
    if (auto ran = slipway::runBridge(); !ran) {
        std::fprintf(stderr, "slipway-bridge: %s\n", ran.error().message.c_str());
        return 1;
    }
    return 0;
}
