// Dials by few streams of another dialer, which carry all others.
#pragma once

#include <memory>

#include "shared/tunnel/dialer.h"

namespace slipway {

// `engine`, `connect` and `park` ride on the carriers; `control` and `share` keep streams of their
// own, which others must not hold up. `carriers` outlives it.
std::unique_ptr<Dialer> multiplexedDialer(Loop& loop, Dialer& carriers);

}  // namespace slipway
