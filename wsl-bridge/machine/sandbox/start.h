// Starting a sandbox, and clearing away what one leaves.
#pragma once

#include <string>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

// Becomes the parent's sibling process of a running machine: its slipway-init reads the token from
// our standard input. Writes the record below to spec.home.machineFile() (0600) before the machine
// begins, and returns it: one line of JSON, {"pid", "start_time", "slirp",
// "slirp_start_time" (0 without one), "rootless", "cgroup", "cgroup_version", "cgroups_writable",
// "subnet", "network", "nameserver", "files", "notes":
// [{"text", "remedy"}]}.
Result<std::string> startSandbox(Spec spec);

// Removes what a killed machine left, and kills it if it runs: cgroups with their processes, veth,
// NAT rules, loop devices, its record. Idempotent. Returns what was removed, a line each.
std::vector<std::string> cleanSandbox(const Spec& spec);

// The root file system: unpacks an archive (tar, also compressed) into a folder that is not there
// yet. Its owners are those of the archive; as an ordinary user shifted into its sub-ids. Prints
// the progress in percent, a line each.
Result<> unpackRoot(const std::filesystem::path& archive, const std::filesystem::path& folder);

// Deletes a folder whose files may belong to sub-ids.
Result<> removeTree(const std::filesystem::path& folder);

}  // namespace slipway
