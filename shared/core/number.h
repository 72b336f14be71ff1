// Numbers in text.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace slipway {

// All of `text` is one, in decimal, and fits. Nothing otherwise.
template <class Number>
std::optional<Number> numberIn(std::string_view text)
{
    Number number{};
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace slipway
