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
};

// The canonical path of the bind's source, which `user` can read; what is created is theirs. Errors
// are dockerd's own words where it has some, InvalidArgument or PermissionDenied.
Result<std::filesystem::path> findHostFolder(const std::string& spelled, Missing missing,
                                             const User& user);

}  // namespace slipway
