// What a machine could leave behind on the host, counted.
#pragma once

#include <string>
#include <vector>

#include "shared/paths/home.h"

namespace slipway::test {

// Everything there is of the Slipway of one home: mounts in every mount namespace, links, nft
// tables, loop devices, cgroups, docker contexts, FUSE connections that nothing mounts any more,
// and processes, which also hold its other namespaces. A process is known by its cgroup, by what it
// has mounted, opened or been started with, and, where the home is an ordinary user's, by its
// owner: a test's user has no others.
struct LeftOvers {
    std::vector<std::string> things;
    static LeftOvers of(const Home& home);
};

}  // namespace slipway::test
