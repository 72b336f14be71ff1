// IPv4 networks in CIDR notation, and the choice of one that collides with nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slipway {

struct Subnet {
    std::uint32_t address = 0;  // Host byte order; the bits beyond the prefix are zero.
    int prefix = 0;

    bool overlaps(const Subnet& other) const;
    std::string host(std::uint32_t number) const;  // host(1) of 10.213.7.0/24: "10.213.7.1".
    std::string text() const;                      // "10.213.7.0/24"
    friend bool operator==(const Subnet&, const Subnet&) = default;
};

std::optional<Subnet> parseSubnet(std::string_view text);

// A /24 that overlaps none of `taken`, out of 10.213.0.0/16 to 10.223.0.0/16, then 172.31.0.0/16,
// then 192.168.0.0/16. `seed` picks where the search begins. Default routes (/0) take nothing.
// None: all are taken.
std::optional<Subnet> chooseSubnet(std::span<const Subnet> taken, unsigned seed);

// Networks of the routes in the text of /proc/net/route.
std::vector<Subnet> routesOf(std::string_view procNetRoute);

// What of a host's resolv.conf a machine behind NAT can use: all but name servers on a loopback
// address or reached by IPv6. None: no name server is left.
std::optional<std::string> reachableResolvConf(std::string_view hostText);

}  // namespace slipway
