// How much memory a process takes, shared pages counted in proportion.
#pragma once

#include <cstdint>

namespace slipway {

// Of this process; 0 where the system does not tell.
std::uint64_t ownPssBytes();

}  // namespace slipway
