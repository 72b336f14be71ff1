// The networks that the host itself is on.
#pragma once

#include <string>
#include <vector>

namespace slipway {

// As CIDR, IPv4, without loopback: what the engine must not choose for its own networks.
std::vector<std::string> hostSubnets();

}  // namespace slipway
