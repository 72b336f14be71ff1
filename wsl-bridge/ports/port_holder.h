// Who has a port of this host, and who may.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shared/io/published_port.h"

namespace slipway {

// "postgres (pid 812)", or "a process of user postgres" where its name is not ours to see. None if
// nobody listens on the port at that address, or at one that includes it.
std::optional<std::string> holderOfPort(const PortAddress& at);

// The lowest port that anybody may bind.
std::uint16_t firstUnprivilegedPort();

// How to be allowed to bind `port`, below that one.
std::string remedyForLowPort(std::uint16_t port);

}  // namespace slipway
