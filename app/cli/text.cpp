#include "app/cli/text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace slipway {

std::string durationText(std::int64_t ms)
{
    std::int64_t seconds = ms > 0 ? ms / 1000 : 0;
    if (seconds < 60) return fmt::format("{} s", seconds);
    std::int64_t minutes = seconds / 60;
    if (minutes < 60) return fmt::format("{} min {} s", minutes, seconds % 60);
    std::int64_t hours = minutes / 60;
    if (hours < 24) return fmt::format("{} h {} min", hours, minutes % 60);
    return fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string sizeText(std::uint64_t bytes)
{
    constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB"};
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double size = static_cast<double>(bytes);
    std::size_t unit = 0;
    // What would be rounded up to 1000 of one unit is 1.0 of the next.
    while (size >= 999.5 && unit + 1 < kUnits.size()) {
        size /= 1000;
        ++unit;
    }
    return fmt::format("{:.{}f} {}", size, size < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string countText(std::size_t count, std::string_view noun)
{
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::size_t widthOf(std::string_view text)
{
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string shortened(std::string_view text, std::size_t columns)
{
    if (widthOf(text) <= columns) return std::string(text);
    std::string start(text);
    while (!start.empty() && widthOf(start) >= columns) start.pop_back();
    return start + "…";
}

namespace {

// A number goes with what it counts.
std::size_t endOfWord(std::string_view text)
{
    std::size_t end = text.find(' ', text.find_first_not_of(' '));
    while (end < text.size() && text[end - 1] >= '0' && text[end - 1] <= '9')
        end = text.find(' ', end + 1);
    return std::min(end, text.size());
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent)
{
    std::string done;
    std::string line;
    while (columns) {
        std::size_t end = endOfWord(text);
        std::string_view word = text.substr(0, end);  // With the spaces before it.
        // Where the line has come no further than the indent, breaking it would gain nothing.
        if (widthOf(line) > indent && widthOf(line) + widthOf(word) > columns) {
            done += line + '\n';
            line = std::string(indent, ' ');
            word.remove_prefix(std::min(word.find_first_not_of(' '), word.size()));
        }
        line += word;
        text.remove_prefix(end);
        if (text.empty()) return done + line;
    }
    return std::string(text);
}

std::string shellQuoted(std::string_view text)
{
    std::string quoted = "'";
    for (char c : text) {
        if (c == '\'')
            quoted += "'\\''";
        else
            quoted += c;
    }
    return quoted + '\'';
}

}  // namespace slipway
