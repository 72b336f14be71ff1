#include "linux-vm-agent/engine/address_pools.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>

#include <fmt/format.h>

namespace slipway {
namespace {

constexpr std::size_t kEnoughPools = 16;

std::uint32_t maskOf(unsigned bits) { return bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits); }

std::uint32_t address(unsigned a, unsigned b) { return a << 24 | b << 16; }

// Every network of `bits` in `range`.
void split(const Subnet& range, unsigned bits, std::vector<Subnet>& out)
{
    for (std::uint32_t i = 0; i < std::uint32_t{1} << (bits - range.bits); ++i)
        out.push_back({range.base + (i << (32 - bits)), bits});
}

// As libnetwork has them (libnetwork/ipamutils/utils.go, localScopeDefaultNetworks), one network each.
std::vector<Subnet> engineDefaults()
{
    std::vector<Subnet> networks;
    for (unsigned second = 17; second <= 31; ++second) networks.push_back({address(172, second), 16});
    split({address(192, 168), 16}, 20, networks);
    return networks;
}

}  // namespace

bool Subnet::overlaps(const Subnet& other) const
{
    std::uint32_t mask = maskOf(std::min(bits, other.bits));
    return (base & mask) == (other.base & mask);
}

std::string Subnet::text() const
{
    return fmt::format("{}.{}.{}.{}/{}", base >> 24, base >> 16 & 255, base >> 8 & 255, base & 255, bits);
}

std::optional<Subnet> parseSubnet(std::string_view cidr)
{
    std::size_t slash = cidr.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    in_addr parsed{};
    if (inet_pton(AF_INET, std::string(cidr.substr(0, slash)).c_str(), &parsed) != 1) return std::nullopt;
    std::string_view length = cidr.substr(slash + 1);
    unsigned bits = 0;
    auto [end, failed] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (failed != std::errc{} || end != length.data() + length.size() || bits > 32) return std::nullopt;
    return Subnet{ntohl(parsed.s_addr) & maskOf(bits), bits};
}

std::optional<std::vector<AddressPool>> addressPoolsBeside(std::span<const std::string> taken)
{
    std::vector<Subnet> used;
    for (const std::string& text : taken) {
        auto subnet = parseSubnet(text);
        if (subnet && subnet->bits > 0) used.push_back(*subnet);
    }
    auto isFree = [&used](const Subnet& network) {
        return std::none_of(used.begin(), used.end(),
                            [&network](const Subnet& other) { return other.overlaps(network); });
    };
    std::vector<Subnet> defaults = engineDefaults();
    if (std::all_of(defaults.begin(), defaults.end(), isFree)) return std::nullopt;

    std::vector<AddressPool> pools;
    for (const Subnet& network : defaults)
        if (isFree(network)) pools.push_back({network, network.bits});
    std::vector<Subnet> more;
    split({address(10, 128), 9}, 16, more);
    for (const Subnet& network : more)
        if (pools.size() < kEnoughPools && isFree(network)) pools.push_back({network, network.bits});
    return pools;
}

}  // namespace slipway
