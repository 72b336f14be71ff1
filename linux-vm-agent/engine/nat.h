// Which of the two iptables this kernel can serve, and how the machine reaches its host.
#pragma once

#include <string>

#include "shared/core/error.h"

namespace slipway {

enum class NatBackend { None, Legacy, Nft };

struct Nat {
    NatBackend backend = NatBackend::None;
    bool ipv6 = false;
};

// Tries the rules that the engine needs, in a chain of its own that it takes away again. Blocks for
// some 30 ms.
Nat probeNat();

// Makes `backend` the one that dockerd finds first in PATH (kEngineBinDir).
Result<> chooseIptables(NatBackend backend);

// The gateway of the machine's default route; empty if it has none.
std::string defaultGateway();

}  // namespace slipway
