// The veth to the machine and the NAT rules behind it; only for root.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "shared/core/error.h"
#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

// Whether connectByNat() could do it: does so, in a network namespace that ends with the call.
Result<> tryNat();

// Whether the machine's kernel could give the agent what is sent elsewhere, as egress by the host
// needs: its agent then sets that up by itself (linux-vm-agent/dial_out). Ok where it can't be
// told.
Result<> tryRedirect(bool rootless);

Result<> connectByNat(const Spec& spec, pid_t pid);

// Takes all of it away again, and puts ip_forward back if a machine of ours had switched it on and
// none is left. Returns what was removed.
std::vector<std::string> disconnectNat(const Spec& spec);

// The chain that would drop what the machine sends, as docker-ce's and ufw's do; none: nothing
// does.
std::optional<std::string> forwardingDroppedBy();

// "table ip filter chain FORWARD" of the first base chain on the hook forward with policy drop, in
// what `nft list chains` prints.
std::optional<std::string> droppingChain(const std::string& nftChains);

}  // namespace slipway
