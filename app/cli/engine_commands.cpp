// slipway engine: which engine the endpoint leads to.
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"
#include "app/cli/status_text.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<v1::State> stateNow(BridgeSession& bridge)
{
    TRY(auto state, bridge.state());
    if (!state)
        return fail(Code::Unavailable, "Slipway does not run; start it with: slipway start");
    return *std::move(state);
}

// One that was launched for the occasion ends with it, unless there is something to serve.
Result<> withBridge(const Home& home, const std::function<Result<>(BridgeSession&)>& work)
{
    BridgeSession bridge(home);
    TRY(bool launched, bridge.launchIfAbsent());
    auto done = work(bridge);
    if (!launched) return done;
    auto state = bridge.state();
    bool serves = state && *state && usesWindows(**state);
    bool runs = state && *state && (*state)->condition() != v1::CONDITION_STOPPED;
    if (!serves && !runs) TRY_VOID(bridge.stop());
    return done;
}

}  // namespace

Result<int> listEnginesCommand(const Home& home)
{
    BridgeSession bridge(home);
    TRY(auto state, stateNow(bridge));
    fmt::print("{}", enginesText(state));
    return 0;
}

Result<int> engineStatusCommand(const Home& home)
{
    BridgeSession bridge(home);
    TRY(auto state, stateNow(bridge));
    for (const auto& engine : state.engines()) {
        if (!engine.in_use()) continue;
        fmt::print("{}\n", engineLine(engine));
        if (engine.trouble().empty()) return 0;
        return usesWindows(state) || state.condition() != v1::CONDITION_STOPPED ? kExitTrouble
                                                                                : kExitStopped;
    }
    return kExitTrouble;
}

Result<int> useEngineCommand(const Home& home, const std::string& name)
{
    TRY_VOID(withBridge(home, [&](BridgeSession& bridge) { return bridge.useEngine(name); }));
    fmt::print("in use: {}; what runs already stays where it is\n", name);
    return 0;
}

Result<int> addWindowsEngineCommand(const Home& home, const std::string& host,
                                    const std::string& tlsFolder)
{
    std::string folder = tlsFolder.empty() ? tlsFolder : fs::absolute(tlsFolder).string();
    std::string line;
    TRY_VOID(withBridge(home, [&](BridgeSession& bridge) -> Result<> {
        TRY_VOID(bridge.setWindowsEngine(host, folder));
        TRY(auto state, stateNow(bridge));
        for (const auto& engine : state.engines())
            if (engine.name() == "windows") line = engineLine(engine);
        return {};
    }));
    fmt::print("added: {}\n   switch to it with: slipway engine use windows\n", line);
    return 0;
}

Result<int> removeWindowsEngineCommand(const Home& home)
{
    TRY_VOID(
        withBridge(home, [&](BridgeSession& bridge) { return bridge.setWindowsEngine({}, {}); }));
    fmt::print("removed\n");
    return 0;
}

}  // namespace slipway
