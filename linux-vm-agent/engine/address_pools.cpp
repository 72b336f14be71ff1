#include "linux-vm-agent/engine/address_pools.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::size_t kEnoughPools = 16;

std::uint32_t address(unsigned a, unsigned b)
{
    return a << 24 | b << 16;
}

// Every network of `prefix` in `range`.
void split(const Subnet& range, int prefix, std::vector<Subnet>& out)
{
    for (std::uint32_t i = 0; i < std::uint32_t{1} << (prefix - range.prefix); ++i)
        out.push_back({range.address + (i << (32 - prefix)), prefix});
}

// As libnetwork has them (libnetwork/ipamutils/utils.go, localScopeDefaultNetworks), one network
// each.
std::vector<Subnet> engineDefaults()
{
    std::vector<Subnet> networks;
    for (unsigned second = 17; second <= 31; ++second)
        networks.push_back({address(172, second), 16});
    split({address(192, 168), 16}, 20, networks);
    return networks;
}

}  // namespace

std::optional<std::vector<AddressPool>> addressPoolsBeside(std::span<const std::string> taken)
{
    std::vector<Subnet> used;
    for (const std::string& text : taken) {
        auto subnet = parseSubnet(text);
        if (subnet && subnet->prefix > 0) used.push_back(*subnet);
    }
    auto isFree = [&used](const Subnet& network) {
        return std::none_of(used.begin(), used.end(),
                            [&network](const Subnet& other) { return other.overlaps(network); });
    };
    std::vector<Subnet> defaults = engineDefaults();
    if (std::all_of(defaults.begin(), defaults.end(), isFree)) return std::nullopt;

    std::vector<AddressPool> pools;
    for (const Subnet& network : defaults)
        if (isFree(network)) pools.push_back({network, network.prefix});
    std::vector<Subnet> more;
    split({address(10, 128), 9}, 16, more);
    for (const Subnet& network : more)
        if (pools.size() < kEnoughPools && isFree(network))
            pools.push_back({network, network.prefix});
    return pools;
}

}  // namespace slipway
