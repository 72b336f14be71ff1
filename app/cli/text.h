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

// Columns are characters of UTF-8. A word longer than the line stays whole.
std::size_t widthOf(std::string_view text);
std::string shortened(std::string_view text, std::size_t columns);  // Its beginning and "…".

// Broken at spaces, but not behind a number, into lines of `columns`, the second and later ones
// indented; 0: not broken.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

std::string shellQuoted(std::string_view text);  // 'it'\''s' for a POSIX shell.

}  // namespace slipway
