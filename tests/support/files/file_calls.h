// Whole files and folders in one call.
#pragma once

#include <ios>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <sys/stat.h>

namespace slipway::test {

// What can't be read is said on standard error too.
std::set<std::string> namesIn(const std::string& path);
std::optional<std::string> textIn(const std::string& path);  // None: it can't be read.
std::optional<struct stat> statOf(const std::string& path);  // Follows no link.
bool writeText(const std::string& path, std::string_view text,
               std::ios::openmode mode = std::ios::trunc);

}  // namespace slipway::test
