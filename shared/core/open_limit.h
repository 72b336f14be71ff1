// How many files the process may hold open (RLIMIT_NOFILE, getrlimit(2)).
#pragma once

#include <cstddef>

#include "shared/core/error.h"

namespace slipway {

void raiseOpenFileLimit();  // As far as the host lets us.
std::size_t maxOpenFiles();

// Whether one more published port leaves half of them to connections and all else; the limit is
// raised where that helps. ResourceExhausted names it, and the way out.
Result<> roomForPort(std::size_t ports, std::size_t filesEach);

}  // namespace slipway
