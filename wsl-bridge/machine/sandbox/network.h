// The machine's way out: a veth behind NAT, or slirp4netns, or none of its own, where everything
// leaves by the bridge. Published ports, names and services of the host need none of it: they go
// through the tunnel.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

// Networks that the host has routes or addresses in.
std::vector<Subnet> subnetsOfHost();

struct Network {
    enum class Mode { Nat, Slirp, Host, None };
    Mode mode = Mode::None;
    pid_t slirp = 0;  // The process of slirp4netns; 0: none.
};
std::string_view name(Network::Mode mode);

// slirp4netns ends when the other end of `watched` is closed, so the machine keeps it.
struct HoldPipe {
    Descriptor watched;
    Descriptor held;
};
Result<HoldPipe> makeHoldPipe();

// Gives the network namespace of `pid` its way out, the best that works here; what did not is
// noted.
Network connectMachine(const Spec& spec, pid_t pid, const HoldPipe& hold, Notes& notes);

// In the machine, before its PID 1 is replaced: address and default route of the veth's end.
Result<> configureEth0(const Subnet& subnet);

// What a killed machine leaves on the host. Returns what was removed.
std::vector<std::string> removeNetwork(const Spec& spec);

}  // namespace slipway
