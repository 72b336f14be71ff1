// start, stop, restart, reset: what changes the machine.
#include <chrono>

#include <fmt/format.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"
#include "app/cli/status_text.h"
#include "app/launcher/machine_owner.h"
#include "app/launcher/machine_record.h"
#include "app/cli/surroundings.h"
#include "app/cli/terminal.h"
#include "app/cli/text.h"

namespace slipway {
namespace {

using Clock = std::chrono::steady_clock;

Result<> printReady(const Home& home, BridgeSession& bridge, Clock::duration took)
{
    TRY(auto state, bridge.state());
    if (!state) return fail(Code::Unavailable, "the bridge has ended: see slipway logs bridge");
    TRY(auto user, invokingUser());
    addSurroundings(*state, surroundingsOf(home, user));
    fmt::print("{}: Docker {} at {} ({:.1f} s)\n", nameOf(state->condition()),
               state->engine().version(), state->endpoint().url(),
               std::chrono::duration<double>(took).count());
    if (!state->endpoint().context_current() && !state->endpoint().context().empty())
        fmt::print(
            "   docker --context {0} …   or, to make it your default: docker context use {0}\n",
            state->endpoint().context());
    for (const auto& warning : state->warnings())
        fmt::print("   warning: {}\n     -> {}\n", warning.text(), warning.remedy());
    return {};
}

// A bridge that is there decides for itself; one that root would launch for a person's own machine
// could not start it, and would be in the way of the person's.
Result<> launchToStart(const Home& home, BridgeSession& bridge)
{
    TRY(auto state, bridge.state());
    if (state) return {};
    TRY_VOID(checkMachineOwner(home));
    TRY_VOID(bridge.launchIfAbsent());
    return {};
}

// A bridge that is there, or one launched for the occasion, which adopts the machine left behind.
Result<> stopAll(const Home& home, BridgeSession& bridge)
{
    TRY_VOID(bridge.launchIfAbsent());
    TRY_VOID(bridge.stop());
    if (machineRecord(home) == MachineRecord::Alive)
        return fail(
            Code::Internal,
            fmt::format("the bridge has ended, but the machine of {} goes on; see {}, then once "
                        "more: slipway stop",
                        home.root.string(), (home.logDir() / "bridge.log").string()));
    return {};
}

}  // namespace

Result<int> startCommand(const Home& home)
{
    auto begun = Clock::now();
    BridgeSession bridge(home);
    TRY_VOID(launchToStart(home, bridge));
    TRY_VOID(bridge.startEngine());
    TRY_VOID(printReady(home, bridge, Clock::now() - begun));
    return 0;
}

Result<int> restartCommand(const Home& home)
{
    auto begun = Clock::now();
    BridgeSession bridge(home);
    TRY_VOID(launchToStart(home, bridge));
    TRY_VOID(bridge.restartEngine());
    TRY_VOID(printReady(home, bridge, Clock::now() - begun));
    return 0;
}

Result<int> stopCommand(const Home& home)
{
    auto begun = Clock::now();
    BridgeSession bridge(home);
    TRY(auto state, bridge.state());
    if (!state && machineRecord(home) == MachineRecord::None) {
        fmt::print("stopped already\n");
        return 0;
    }
    TRY_VOID(stopAll(home, bridge));
    fmt::print("stopped ({:.1f} s)\n", std::chrono::duration<double>(Clock::now() - begun).count());
    return 0;
}

Result<int> resetCommand(const Home& home, bool yes)
{
    BridgeSession bridge(home);
    TRY(auto state, bridge.state());
    std::string size = state && state->machine().disk_bytes()
                           ? fmt::format(" ({})", sizeText(state->machine().disk_bytes()))
                           : std::string();
    fmt::print(
        "This stops the engine of {} and deletes its machine{}: all images, containers and "
        "volumes, and what bind mounts have let it see. Settings and logs stay.\n",
        home.root.string(), size);
    if (!yes) {
        TRY(bool sure, confirm("Delete them?", "slipway reset"));
        if (!sure) {
            fmt::print("nothing was changed\n");
            return 1;
        }
    }
    TRY(bool launched, bridge.launchIfAbsent());
    TRY_VOID(bridge.reset());
    if (launched) TRY_VOID(bridge.stop());
    fmt::print("deleted; slipway start makes a new machine\n");
    return 0;
}

}  // namespace slipway
