// Connected sockets, bare: for those who hand them over, or must read not one byte too far.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "shared/io/descriptor.h"
#include "shared/io/uv_stream.h"

namespace slipway {

// Non-blocking. At once, as a unix connect is: a full queue is an error (EAGAIN).
Result<Descriptor> connectUnixSocket(const std::filesystem::path& path);

// As connectTcp().
using SocketDone = std::function<void(Result<Descriptor>)>;
std::unique_ptr<Connecting> connectTcpSocket(Loop& loop, const std::string& address,
                                             std::uint16_t port, SocketDone done);

// Two unix sockets that are connected to each other, non-blocking.
struct SocketPair {
    Descriptor one;
    Descriptor other;
};
Result<SocketPair> makeSocketPair();

// When the TCP socket is closed, its peer sees a connection that was reset, and not one that ended.
void resetOnClose(const Descriptor& socket);

}  // namespace slipway
