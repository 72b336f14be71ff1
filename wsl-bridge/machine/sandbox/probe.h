// What this host offers a sandbox: facts that a start and the tests decide by.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

struct Fact {
    std::string name;  // See probe().
    bool holds = false;
    std::string reason;  // Why it does not; empty where it does.
    std::string remedy;
};

// Leaves nothing changed. By name:
//   root         runs as root
//   namespaces   those of a sandbox can be made (as an ordinary user: in a user namespace)
//   cgroups      groups can be made, so limits and pause work
//   fuse         files = fuse works
//   overlay      the home's file system carries an overlay; without it an image or memory is used
//   nat          iproute2 makes a veth, and nftables or iptables takes the rules
//   subids       /etc/subuid and /etc/subgid have a range for this user
//   newuidmap    uidmap is installed
//   slirp4netns  it is installed, and /dev/net/tun is open to this user
std::vector<Fact> probe(const Spec& spec);
Fact fuseFact(bool rootless);  // The one of that name.

Fact fuseFact(bool rootless);

}  // namespace slipway
