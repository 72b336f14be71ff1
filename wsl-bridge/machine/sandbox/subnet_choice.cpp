#include "wsl-bridge/machine/sandbox/subnet_choice.h"

#include <algorithm>
#include <bit>
#include <sstream>

namespace slipway {
namespace {

constexpr std::uint32_t octets(unsigned a, unsigned b)
{
    return a << 24 | b << 16;
}

std::vector<std::uint32_t> candidateNetworks()
{
    std::vector<std::uint32_t> networks;
    for (unsigned second = 213; second <= 223; ++second) networks.push_back(octets(10, second));
    networks.push_back(octets(172, 31));
    networks.push_back(octets(192, 168));
    return networks;
}

}  // namespace

std::optional<Subnet> chooseSubnet(std::span<const Subnet> taken, unsigned seed)
{
    for (auto network : candidateNetworks()) {
        for (unsigned i = 0; i < 256; ++i) {
            Subnet subnet{network | ((seed + i) & 255) << 8, 24};
            bool free = std::none_of(taken.begin(), taken.end(), [&](const Subnet& other) {
                return other.prefix > 0 && subnet.overlaps(other);
            });
            if (free) return subnet;
        }
    }
    return std::nullopt;
}

std::vector<Subnet> routesOf(std::string_view procNetRoute)
{
    // Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask …; numbers are hexadecimal,
    // in network byte order as a little-endian host reads it.
    std::vector<Subnet> routes;
    std::istringstream lines{std::string(procNetRoute)};
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
        std::istringstream fields(line);
        std::string name, gateway, flags, refs, use, metric;
        std::uint32_t destination = 0;
        std::uint32_t mask = 0;
        fields >> name >> std::hex >> destination >> gateway >> flags >> refs >> use >> metric >>
            mask;
        if (!fields) continue;
        routes.push_back({__builtin_bswap32(destination), std::popcount(mask)});
    }
    return routes;
}

std::string machineResolvConf(std::string_view hostText, const std::string& nameserver)
{
    std::string text = "nameserver " + nameserver + "\n";
    std::istringstream lines{std::string(hostText)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string key;
        words >> key;
        if (key == "search" || key == "domain" || key == "options") text += line + "\n";
    }
    return text;
}

}  // namespace slipway
