// IPv4 networks in CIDR notation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipway {

struct Subnet {
    std::uint32_t address = 0;  // Host byte order; the bits beyond the prefix are zero.
    int prefix = 0;             // 0 to 32.

    bool overlaps(const Subnet& other) const;
    std::string host(std::uint32_t number) const;  // host(1) of 10.213.7.0/24: "10.213.7.1".
    std::string text() const;                      // "10.213.7.0/24"
    friend bool operator==(const Subnet&, const Subnet&) = default;
};

// "10.1.2.3/16" is 10.1.0.0/16. Nothing for what is not an IPv4 subnet.
std::optional<Subnet> parseSubnet(std::string_view text);

}  // namespace slipway
