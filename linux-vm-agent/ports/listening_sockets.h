// Who listens in this network namespace: the sockets, as the kernel lists them (sock_diag(7)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

struct ListeningSocket {
    std::string protocol;  // tcp: it listens; udp: it is bound and has no peer.
    std::string address;   // Numeric: 0.0.0.0 or :: for all.
    std::uint16_t port = 0;
    std::uint64_t inode = 0;  // Its name in /proc/<pid>/fd: socket:[inode].
};

// One on :: that takes IPv4 too is listed twice, the second time on 0.0.0.0.
Result<std::vector<ListeningSocket>> listeningSockets();

}  // namespace slipway
