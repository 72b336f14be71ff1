#include "shared/paths/host_path.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace slipway {
namespace {

bool isAtOrBelow(std::string_view path, std::string_view folder)
{
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string tidy(std::string_view path)
{
    std::string plain = std::filesystem::path(path).lexically_normal().generic_string();
    while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
    if (plain.starts_with("//")) plain.erase(0, 1);
    return plain;
}

}  // namespace

PathOwner ownerOf(std::string_view path, const std::vector<std::filesystem::path>& endpointSockets)
{
    // Monitoring stacks and Docker-in-Docker mount these and mean the engine's machine.
    static constexpr std::array<std::string_view, 7> kMachines = {
        "/run", "/var/run", "/sys", "/proc", "/dev", "/lib/modules", "/var/lib/docker"};
    static constexpr std::array<std::string_view, 2> kPersons = {"/run/user", "/var/run/user"};

    std::string plain = tidy(path);
    auto isIt = [&](const std::filesystem::path& socket) {
        return plain == tidy(socket.generic_string());
    };
    if (plain == "/var/run/docker.sock" || plain == "/run/docker.sock" ||
        std::any_of(endpointSockets.begin(), endpointSockets.end(), isIt))
        return PathOwner::DockerSocket;
    if (plain == "/") return PathOwner::Machine;
    auto holds = [&](std::string_view folder) { return isAtOrBelow(plain, folder); };
    if (std::any_of(kPersons.begin(), kPersons.end(), holds)) return PathOwner::Host;
    return std::any_of(kMachines.begin(), kMachines.end(), holds) ? PathOwner::Machine
                                                                  : PathOwner::Host;
}

bool canBePartOfAName(char c)
{
    return std::isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' || c == '_' ||
           c == '-';
}

std::string withHostPaths(
    std::string_view message,
    const std::function<std::optional<KnownPath>(std::string_view rest)>& known)
{
    auto pathAt = [&](std::string_view rest) -> std::optional<KnownPath> {
        auto found = known ? known(rest) : std::nullopt;
        if (found || !rest.starts_with(kHostFilesInMachine)) return found;
        std::size_t length = kHostFilesInMachine.size();
        while (length < rest.size() && canBePartOfAName(rest[length])) ++length;
        auto host = toHostPath(rest.substr(0, length));
        return host ? std::optional(KnownPath{length, *host}) : std::nullopt;
    };
    std::string text;
    for (std::size_t at = 0; at < message.size();) {
        bool begins = message[at] == '/' && (at == 0 || !canBePartOfAName(message[at - 1]));
        auto found = begins ? pathAt(message.substr(at)) : std::nullopt;
        if (found)
            text += found->shown;
        else
            text += message[at];
        at += found ? found->length : 1;
    }
    return text;
}

}  // namespace slipway
