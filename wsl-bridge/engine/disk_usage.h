// What the engine says it takes on the disk.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

// Images, containers, volumes and build cache, added up as `docker system df` does, from the answer
// of GET /system/df (docs.docker.com/reference/api/engine/version/v1.45, SystemDataUsageResponse).
// What it did not count (a volume that lies elsewhere) adds nothing.
Result<std::uint64_t> diskBytesOf(std::string_view systemDf);

}  // namespace slipway
