// JSON strings: from their text to what they say, and back.
#pragma once

#include <string>
#include <string_view>

namespace slipway {

// Of what stands between the quotes of a valid string. As Go decodes: a lone half of a surrogate
// pair, and each byte that is no UTF-8, is U+FFFD.
std::string decodedJsonString(std::string_view text);

std::string toJsonString(std::string_view text);  // With its quotes.

}  // namespace slipway
