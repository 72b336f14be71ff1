// How numbers are put for people, and words for shells.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace slipway {

std::string durationText(
    std::int64_t ms);  // "2 h 14 min": the two greatest units; below a minute "5 s".
std::string sizeText(std::uint64_t bytes);                        // "3.1 MB", by thousands.
std::string countText(std::size_t count, std::string_view noun);  // "1 folder", "2 folders".
std::string shellQuoted(std::string_view text);                   // 'it'\''s' for a POSIX shell.

}  // namespace slipway
