// A small file that is there whole, or as it was before.
#pragma once

#include <filesystem>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

// Whoever reads it meanwhile sees the old file or the new one, never half of one, also after a
// crash. The new one is its folder's owner's. `<file>.new` is used on the way.
Result<> replaceFile(const std::filesystem::path& file, std::string_view content);

}  // namespace slipway
