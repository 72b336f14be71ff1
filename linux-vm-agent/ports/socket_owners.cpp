#include "linux-vm-agent/ports/socket_owners.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "shared/core/number.h"
#include "shared/process/process_facts.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kShim = "containerd-shim";  // -runc-v2

// "socket:[4711]" -> 4711
std::optional<std::uint64_t> inodeOf(std::string_view link)
{
    constexpr std::string_view kBefore = "socket:[";
    if (!link.starts_with(kBefore) || !link.ends_with(']')) return std::nullopt;
    return numberIn<std::uint64_t>(link.substr(kBefore.size(), link.size() - kBefore.size() - 1));
}

// What follows `-id` in a shim's command line.
std::string containerOfShim(pid_t shim)
{
    std::ifstream file(fmt::format("/proc/{}/cmdline", shim), std::ios::binary);
    for (std::string word; std::getline(file, word, '\0');)
        if (word == "-id" && std::getline(file, word, '\0')) return word;
    return {};
}

std::string containerOf(pid_t process)
{
    std::string container;
    for (pid_t pid = process; pid > 1; pid = parentOf(pid))
        if (programOf(pid).starts_with(kShim)) container = containerOfShim(pid);
    return container;
}

}  // namespace

std::map<std::uint64_t, std::string> ownersOfSockets(const std::set<std::uint64_t>& inodes)
{
    std::map<std::uint64_t, std::string> owners;
    if (inodes.empty()) return owners;
    std::error_code failed;
    fs::directory_iterator end;
    for (fs::directory_iterator entry("/proc", failed); !failed && entry != end;
         entry.increment(failed)) {
        auto pid = numberIn<std::uint64_t>(entry->path().filename().string());
        if (!pid) continue;
        std::optional<std::string> container;  // Asked for at the first socket that is wanted.
        std::error_code gone;
        for (fs::directory_iterator fd(entry->path() / "fd", gone); !gone && fd != end;
             fd.increment(gone)) {
            std::error_code closed;
            auto inode = inodeOf(fs::read_symlink(fd->path(), closed).string());
            if (!inode || !inodes.contains(*inode)) continue;
            if (!container) container = containerOf(static_cast<pid_t>(*pid));
            std::string& owner = owners[*inode];
            if (owner.empty()) owner = *container;
        }
    }
    return owners;
}

}  // namespace slipway
