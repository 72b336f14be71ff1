// Slipway's version, as the build states it.
#pragma once

#include <string_view>

namespace slipway {

std::string_view version();  // "0.1.0"

}  // namespace slipway
