#include "wsl-bridge/machine/sandbox/names.h"

#include <cctype>
#include <cstdint>

#include <fmt/format.h>

namespace slipway {
namespace {

constexpr std::size_t kMaxLinkBytes = 15;

// FNV-1a: the same on every start and every machine, which std::hash does not promise.
std::uint32_t hashOf(const std::string& text)
{
    std::uint32_t hash = 2166136261u;
    for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
    return hash;
}

}  // namespace

MachineNames machineNames(const std::string& instance, const std::filesystem::path& home)
{
    MachineNames names;
    names.number = hashOf(home.string());
    auto suffix = fmt::format("-{:06x}", names.number & 0xffffff);
    names.cgroup = instance + suffix;
    names.link = instance.substr(0, kMaxLinkBytes - suffix.size());
    if (names.link.ends_with('-')) names.link.pop_back();
    names.link += suffix;
    for (char c : names.cgroup) {
        names.nftTable += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    }
    return names;
}

}  // namespace slipway
