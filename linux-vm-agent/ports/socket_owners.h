// Which container a socket belongs to.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace slipway {

// By the socket's inode: the id of the container whose process holds it, or an empty one if only
// processes of the machine do. Without those that no process was found to hold.
//
// A process belongs to the container that its topmost containerd-shim was started for: a shim is
// the ancestor of all that runs in its container, with cgroups or without, as it adopts whom their
// parent leaves behind; and no container puts itself above it.
std::map<std::uint64_t, std::string> ownersOfSockets(const std::set<std::uint64_t>& inodes);

}  // namespace slipway
