// slipway egress: how what containers send leaves this host.
#include <fmt/format.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"

namespace slipway {

Result<int> egressCommand(const Home& home, const std::string& mode)
{
    BridgeSession bridge(home);
    if (!mode.empty()) {
        TRY(auto before, bridge.state());
        if (!before)
            return fail(Code::Unavailable, "Slipway does not run; start it with: slipway start");
        TRY_VOID(bridge.setEgress(mode));
    }
    TRY(auto state, bridge.state());
    if (!state || state->machine().network().empty())
        return fail(Code::Unavailable, "no machine runs; start it with: slipway start");
    const std::string& network = state->machine().network();
    fmt::print("what containers send leaves this host by {}\n",
               network == "host"   ? "connections of slipway-bridge"
               : network == "none" ? "nothing: see slipway status"
                                   : network);
    return 0;
}

}  // namespace slipway
