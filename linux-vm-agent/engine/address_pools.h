// Which addresses the engine may take for networks that nobody named a subnet for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slipway {

struct Subnet {
    std::uint32_t base = 0;  // Host byte order.
    unsigned bits = 0;       // 0 to 32.

    bool overlaps(const Subnet& other) const;
    std::string text() const;  // "172.17.0.0/16"
};

// "10.1.2.3/16" is 10.1.0.0/16. Nothing for what is not an IPv4 subnet.
std::optional<Subnet> parseSubnet(std::string_view cidr);

// One entry of daemon.json's default-address-pools: networks of `networkBits` out of `base`.
struct AddressPool {
    Subnet base;
    unsigned networkBits = 0;
};

// Nothing where the engine's own defaults touch none of `taken`. Else what is left of them, filled up
// from 10.128.0.0/9; entries that are not IPv4 subnets are ignored, and so is 0.0.0.0/0, a default route.
std::optional<std::vector<AddressPool>> addressPoolsBeside(std::span<const std::string> taken);

}  // namespace slipway
