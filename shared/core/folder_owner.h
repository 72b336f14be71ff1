// Whose a file is that root makes in somebody's folder: that somebody's.
#pragma once

#include <filesystem>

#include "shared/core/error.h"

namespace slipway {

// Gives `path`, itself if it is a link, to the owner and the group of the folder it lies in, unless
// it is that owner's already. So
// what Slipway writes into a person's home under sudo, from whichever process and namespace, is
// theirs. Does nothing for an ordinary user, whose files are their own.
Result<> giveToFolderOwner(const std::filesystem::path& path);

}  // namespace slipway
