// What a client sends, and what of it reaches the engine: compared request by request.
#pragma once

#include <string>
#include <string_view>

namespace slipway::test {

// Sends `sent` through an HttpProxy to a stand-in engine. Empty, or how what arrived differs from
// what a strict reading of `sent` holds: the engine may get fewer requests, never others.
std::string smuggled(std::string_view sent);

}  // namespace slipway::test
