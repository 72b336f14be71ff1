// Which addresses the engine may take for networks that nobody named a subnet for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shared/net/subnet.h"

namespace slipway {

// One entry of daemon.json's default-address-pools: networks of `networkBits` out of `base`.
struct AddressPool {
    Subnet base;
    int networkBits = 0;
};

// Nothing where the engine's own defaults touch none of `taken`. Else what is left of them, filled
// up from 10.128.0.0/9; entries that are not IPv4 subnets are ignored, and so is 0.0.0.0/0, a
// default route.
std::optional<std::vector<AddressPool>> addressPoolsBeside(std::span<const std::string> taken);

}  // namespace slipway
