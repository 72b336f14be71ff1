// Where the running program lies: the others of Slipway lie beside it.
#pragma once

#include <filesystem>

namespace slipway {

// The folder of the running program's file, symlinks resolved.
std::filesystem::path programDir();

}  // namespace slipway
