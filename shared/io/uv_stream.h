// ByteStream, listener and connect over libuv: unix sockets and TCP.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "shared/io/byte_stream.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"

namespace slipway {

// The peer of a unix socket has closed it while our direction goes on: is that the end, as of most
// programs, or has it been broken off? Reading then fails, as it does after a reset of TCP.
enum class Gone { Ended, BrokenOff };

// Takes over a connected socket: unix, TCP, or UDP (see datagrams.h).
Result<StreamPtr> adoptSocket(Loop& loop, Descriptor socket, Gone gone = Gone::Ended);

// An attempt to connect; destroying it gives up. `done` may destroy it.
class Connecting {
public:
    virtual ~Connecting() = default;
};
using ConnectDone = std::function<void(Result<StreamPtr>)>;
std::unique_ptr<Connecting> connectUnix(Loop& loop, const std::filesystem::path& path,
                                        ConnectDone done);
// `address` is numeric, IPv4 or IPv6.
std::unique_ptr<Connecting> connectTcp(Loop& loop, const std::string& address, std::uint16_t port,
                                       ConnectDone done);

// Accepts until it is destroyed.
class Listener {
public:
    using Accepted = std::function<void(StreamPtr)>;
    virtual ~Listener() = default;
    virtual std::uint16_t port() const = 0;  // The bound TCP port; 0 for a unix socket.
};
using ListenerPtr = std::unique_ptr<Listener>;

// A socket file that is there already is replaced: whoever calls has made sure that nobody serves
// it. It is removed again when the listener dies. `mode` as for chmod; it is its folder's owner's.
Result<ListenerPtr> listenUnix(Loop& loop, const std::filesystem::path& path, int mode,
                               Listener::Accepted accepted);
Result<ListenerPtr> listenTcp(Loop& loop, const std::string& address, std::uint16_t port,
                              Listener::Accepted accepted);

// The longest path of a unix socket, without its final zero (sockaddr_un, unix(7)).
inline constexpr std::size_t kMaxUnixPathBytes = 107;

}  // namespace slipway
