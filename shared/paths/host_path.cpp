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

bool canBePartOfAName(char c)
{
    return std::isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '.' || c == '_' ||
           c == '-';
}

}  // namespace

PathOwner ownerOf(std::string_view path, const std::filesystem::path& endpointSocket)
{
    // Monitoring stacks and Docker-in-Docker mount these and mean the engine's machine.
    static constexpr std::array<std::string_view, 7> kMachines = {
        "/run", "/var/run", "/sys", "/proc", "/dev", "/lib/modules", "/var/lib/docker"};
    static constexpr std::array<std::string_view, 2> kPersons = {"/run/user", "/var/run/user"};

    std::string plain = tidy(path);
    if (plain == "/var/run/docker.sock" || plain == "/run/docker.sock" ||
        plain == tidy(endpointSocket.generic_string()))
        return PathOwner::DockerSocket;
    if (plain == "/") return PathOwner::Machine;
    auto holds = [&](std::string_view folder) { return isAtOrBelow(plain, folder); };
    if (std::any_of(kPersons.begin(), kPersons.end(), holds)) return PathOwner::Host;
    return std::any_of(kMachines.begin(), kMachines.end(), holds) ? PathOwner::Machine
                                                                  : PathOwner::Host;
}

std::string withHostPaths(std::string_view message)
{
    std::string text;
    for (std::size_t at = 0; at < message.size();) {
        std::string_view rest = message.substr(at);
        bool begins = at == 0 || !canBePartOfAName(message[at - 1]);
        if (begins && rest.starts_with(kHostFilesInMachine)) {
            std::size_t length = kHostFilesInMachine.size();
            while (length < rest.size() && canBePartOfAName(rest[length])) ++length;
            if (auto host = toHostPath(rest.substr(0, length))) {
                text += *host;
                at += length;
                continue;
            }
        }
        text += message[at++];
    }
    return text;
}

}  // namespace slipway
