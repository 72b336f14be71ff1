// How far the kernel reads ahead on a mount.
#pragma once

#include <cstddef>
#include <filesystem>

namespace slipway {

// The default caps every read at 128 KiB. Finds the mount without touching it; where /sys can't be
// written (a rootless machine), it stays as it is.
void setReadAhead(const std::filesystem::path& mountPoint, std::size_t bytes);

}  // namespace slipway
