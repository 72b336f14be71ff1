// Whether a disk has room enough for a start.
#pragma once

#include <cstdint>
#include <filesystem>

#include "shared/core/error.h"

namespace slipway {

// The error names what is free on the disk of `folder`, what is needed, and the way out.
Result<> checkRoom(const std::filesystem::path& folder, std::uint64_t neededBytes);

}  // namespace slipway
