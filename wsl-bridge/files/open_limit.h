// How many files the process may hold open.
#pragma once

#include <cstddef>

namespace slipway {

void raiseOpenFileLimit();  // As far as the host lets us.
std::size_t maxOpenFiles();

}  // namespace slipway
