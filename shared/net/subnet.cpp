#include "shared/net/subnet.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace slipway {
namespace {

std::uint32_t maskOf(int prefix)
{
    return prefix == 0 ? 0 : ~0u << (32 - prefix);
}

}  // namespace

bool Subnet::overlaps(const Subnet& other) const
{
    auto mask = maskOf(std::min(prefix, other.prefix));
    return (address & mask) == (other.address & mask);
}

std::string Subnet::host(std::uint32_t number) const
{
    auto a = address + number;
    return fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

std::string Subnet::text() const
{
    return fmt::format("{}/{}", host(0), prefix);
}

std::optional<Subnet> parseSubnet(std::string_view text)
{
    std::uint32_t parts[5];
    const char* at = text.data();
    const char* end = at + text.size();
    for (int i = 0; i < 5; ++i) {
        auto [next, error] = std::from_chars(at, end, parts[i]);
        if (error != std::errc() || parts[i] > (i < 4 ? 255u : 32u)) return std::nullopt;
        if (i < 4 && (next == end || *next != (i < 3 ? '.' : '/'))) return std::nullopt;
        at = next + (i < 4 ? 1 : 0);
    }
    if (at != end) return std::nullopt;
    auto address = parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3];
    return Subnet{address & maskOf(static_cast<int>(parts[4])), static_cast<int>(parts[4])};
}

}  // namespace slipway
