// The machine's root: built in its own mount namespace, then pivoted to.
#pragma once

#include <string>
#include <vector>

#include <sys/sysmacros.h>

#include "shared/core/error.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/spec.h"

namespace slipway {

// Documentation/admin-guide/devices.txt
inline const dev_t kFuseDevice = makedev(10, 229);
inline const dev_t kTunDevice = makedev(10, 200);

// For a process in fresh namespaces. Builds everything below spec.mountPoint() out of the host's
// files; nothing of it is seen on the host.
Result<> buildRoot(const Spec& spec, const std::vector<Hierarchy>& hierarchies);

// Name service files, once the network is known.
Result<> writeEtc(const Spec& spec, const std::string& resolvConf);

// The built root becomes "/"; the host's is gone.
Result<> enterRoot(const Spec& spec);

}  // namespace slipway
