// What dockerd is configured with: the user's daemon.json below the keys that Slipway cannot do
// without.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipway {

// What the user should know, and what to do about it.
struct EngineNote {
    std::string text;
    std::string remedy;
};

struct EngineNeeds {
    bool inSwarm = false;  // dockerd refuses to start with live-restore in a swarm.
    bool nat4 = true;      // The kernel has address translation, and with it published ports.
    bool nat6 = true;
    std::string hostGateway;               // The host as containers reach it; empty: not known.
    std::vector<std::string> hostSubnets;  // CIDR: networks the engine must not choose for itself.
};

struct DaemonJson {
    std::string text;
    std::vector<EngineNote> notes;
};

// Never fails: a user's file that is no JSON object is left out, and a note says where it is wrong.
DaemonJson daemonJson(std::string_view users, const EngineNeeds& needs);

}  // namespace slipway
