// Host paths and machine paths: whose a bind's source is, and what it is called on the other side.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipway {

// Where the host's files are in the machine.
inline constexpr std::string_view kHostFilesInMachine = "/mnt/host";

// The socket in the machine that leads back to this endpoint, so that a bind made through it means
// the same host path as one made on the host. A container that binds all of /run finds it too.
inline constexpr std::string_view kDockerSocketInMachine = "/run/docker.sock";

enum class PathOwner {
    Host,
    Machine,       // The same path in the machine, on every host: /proc, /sys, the engine's data.
    DockerSocket,  // What answers the Docker API: kDockerSocketInMachine.
};

// Whose an absolute path is, by its spelling alone; no file is looked at.
PathOwner ownerOf(std::string_view path, const std::vector<std::filesystem::path>& endpointSockets);

// `canonical` has no symlinks: one would be resolved against the machine's root.
std::string toMachinePath(const std::filesystem::path& canonical);
// None if the path is not one of the host's.
std::optional<std::string> toHostPath(std::string_view machinePath);

// Letters, digits and what else tells a longer name from the end of one.
bool canBePartOfAName(char c);

struct KnownPath {
    std::size_t length = 0;  // Of the text that it takes the place of.
    std::string shown;
};

// A message for a person, with the machine's names of host paths replaced by the host's. `known` is
// asked first wherever a path may begin; it may be empty.
std::string withHostPaths(
    std::string_view message,
    const std::function<std::optional<KnownPath>(std::string_view rest)>& known = nullptr);

}  // namespace slipway
