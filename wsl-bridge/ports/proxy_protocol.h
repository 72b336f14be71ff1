// The header that tells a container who its client is: PROXY protocol, version 2
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/io/listen_socket.h"

namespace slipway {

// Whether the label `io.slipway.proxy-protocol` of a container, "80,443/tcp", names its TCP port.
bool asksForProxyHeader(std::string_view label, std::uint16_t containerPort);

// The bytes before a connection's first. Both ends are of one family.
std::string proxyHeader(const SocketEnds& connection);

}  // namespace slipway
