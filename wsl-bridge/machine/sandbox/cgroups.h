// The machine's group in every cgroup hierarchy of the host.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

struct Hierarchy {
    std::filesystem::path point;
    int version = 1;
    // Version 1: "cpu,cpuacct" or "name=systemd", as a mount of it takes them.
    std::string controllers;
};
// Those of the host, each once, in the order in which they are mounted.
std::vector<Hierarchy> cgroupHierarchies(const std::vector<MountInfo>& mounts);

struct MachineCgroups {
    std::vector<std::filesystem::path> folders;
    int version = 1;        // 2 where version 2 carries the controllers.
    bool writable = false;  // Limits and pause work.
};

// As root: a group of its own at the top of every hierarchy. As an ordinary user: below the group
// that was delegated to it, if one was; without it no folder, and a note. What is there already is
// used.
Result<MachineCgroups> makeCgroups(const Spec& spec, Notes& notes);

// Whether an ordinary user gets limits: its own group of version 2 is writable and hands down
// memory.
bool canUseDelegatedCgroup(const std::vector<Hierarchy>& hierarchies);

// Puts this process into all of them. The machine, which is cloned next, takes them for its roots.
Result<> joinCgroups(const MachineCgroups& cgroups);

// Then out of its way: on version 2 slipway-init can hand controllers down only while no process of
// the host, as this one or slirp4netns, is in the root of its group.
Result<> joinLeaves(const MachineCgroups& cgroups);

// Kills what still runs in the groups of that name and removes them. Returns what was removed.
std::vector<std::string> removeCgroups(const std::string& name);

// What the machine uses now, by its group of the memory controller; 0 without one.
std::uint64_t cgroupMemoryBytes(const std::string& name);

}  // namespace slipway
