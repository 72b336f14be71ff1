// Files that are read and written whole.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

// None if it can't be opened.
std::optional<std::string> readFile(const std::filesystem::path& file);

// Whoever reads it meanwhile sees the old file or the new one, never half of one, also after a
// crash. The new one is its folder's owner's. `<file>.new` is used on the way.
Result<> replaceFile(const std::filesystem::path& file, std::string_view content);
Result<> replacePrivateFile(const std::filesystem::path& file, std::string_view content);  // 0600

}  // namespace slipway
