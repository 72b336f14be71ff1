// UDP as streams: each datagram is a frame, its length in two bytes (big-endian) before it. A
// published UDP port and the way of its datagrams to the container are then what they are for TCP:
// a listener, streams and relays.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "shared/io/descriptor.h"
#include "shared/io/uv_stream.h"

namespace slipway {

// Of UDP over IPv4: 65,535 less the two headers (RFC 768, RFC 791). IPv6 has 20 more.
inline constexpr std::size_t kMaxDatagramBytes = 65507;

// At once, as no packet is sent. `address` is numeric.
Result<Descriptor> connectUdpSocket(const std::string& address, std::uint16_t port);

// Takes over a connected datagram socket. What can't be sent at once is lost, as datagrams are, and
// so is what comes while nobody reads for longer than the kernel has room. A peer that refuses is
// not an error: it may come yet.
Result<StreamPtr> adoptDatagramSocket(Loop& loop, Descriptor socket);

// The two as one, as connectTcp().
std::unique_ptr<Connecting> connectUdp(Loop& loop, const std::string& address, std::uint16_t port,
                                       ConnectDone done);

struct UdpOptions {
    std::chrono::milliseconds silence{
        90'000};                  // Ends a peer's stream; as Docker's own proxy has it.
    std::size_t maxPeers = 4096;  // The one silent for longest makes room.
    std::size_t maxWaitingBytes = 256 * 1024;  // Of a peer's, unread; more is lost.
};
// A stream for each peer that sends: it reads what comes from it, and is written what goes back.
Result<ListenerPtr> listenUdp(Loop& loop, const std::string& address, std::uint16_t port,
                              Listener::Accepted accepted, UdpOptions options = {});

// What was sent to any address and port and came to this socket nevertheless, by a TPROXY rule of
// the kernel (nft(8), "tproxy"). Each address that a peer sends to is a stream of its own, which is
// answered from there. `socket` is bound, with IP_TRANSPARENT (ip(7)); IPv4.
struct TransparentUdp {
    Descriptor socket;
    // A socket with IP_TRANSPARENT that is bound to what a peer has sent to.
    std::function<Result<Descriptor>(const std::string& address, std::uint16_t port)> bindTo;
    std::function<void(StreamPtr, const std::string& address, std::uint16_t port)> accepted;
};
Result<ListenerPtr> listenTransparently(Loop& loop, TransparentUdp udp, UdpOptions options = {});

}  // namespace slipway
