// The host's end of a bind mount: found, or made as Docker makes it.
#pragma once

#include <filesystem>
#include <string>

#include "shared/core/error.h"
#include "shared/paths/home.h"

namespace slipway {

enum class Missing {
    Create,  // As `docker run -v` does.
    Refuse,  // As `docker run --mount type=bind` does.
    Leave,   // As a service and a volume do: dockerd looks for it when a container starts.
};

// The canonical path of the bind's source, which `user` can read if it is there; what is created is
// theirs. Errors are dockerd's own words where it has some, InvalidArgument or PermissionDenied.
Result<std::filesystem::path> findHostFolder(const std::string& spelled, Missing missing,
                                             const User& user);

}  // namespace slipway
