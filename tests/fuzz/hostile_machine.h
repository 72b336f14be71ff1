// A machine that sends whatever it likes to a whole file server.
#pragma once

#include <string>
#include <string_view>

namespace slipway::test {

// Takes `script` for requests about a folder that is granted, some of them malformed, and has a
// file server answer them. Empty, or what of the host it reached beside that folder.
std::string reachedBeyondGrant(std::string_view script);

}  // namespace slipway::test
