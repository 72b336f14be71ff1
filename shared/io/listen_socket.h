// TCP sockets that listen, as bare descriptors, and who is at the two ends of what they accept.
#pragma once

#include <cstdint>
#include <string>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"

namespace slipway {

// `address` is numeric, IPv4 or IPv6; :: is for IPv6 alone. Non-blocking.
Result<Descriptor> listenTcpSocket(const std::string& address, std::uint16_t port);

struct SocketEnd {
    std::string address;  // 4 or 16 bytes, in the network's order.
    std::uint16_t port = 0;
};
struct SocketEnds {
    SocketEnd peer;
    SocketEnd own;
};
// Of a connected TCP socket. An error if it is so no more.
Result<SocketEnds> endsOf(const Descriptor& socket);

}  // namespace slipway
