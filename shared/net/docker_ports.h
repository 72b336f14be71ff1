// The TCP ports of the Docker API, by custom and with IANA: docker and docker-s.
#pragma once

#include <cstdint>

namespace slipway {

inline constexpr std::uint16_t kDockerPort = 2375;     // In the open.
inline constexpr std::uint16_t kDockerTlsPort = 2376;  // With TLS.

}  // namespace slipway
