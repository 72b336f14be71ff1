// Whose the machine of a home is: root's once it was started with sudo, else the person's own.
#pragma once

#include "shared/core/error.h"
#include "shared/paths/home.h"

namespace slipway {

// PermissionDenied, with the way out: the machine that lies in `home` is somebody else's, so that
// this user can't start it. Root can stop and delete any; an ordinary user, not even that with
// root's.
Result<> checkMachineOwner(const Home& home);

bool isRoot();

}  // namespace slipway
