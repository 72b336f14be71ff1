// The head of a tunnel stream: who is there, and which service it carries.
//
// Theory of operation. The machine is reached by one address that any process of the host, or of
// the machine, may be able to dial, so each end proves that it holds the token of this boot without
// showing it. The agent speaks first: version and 32 random bytes. The bridge answers with its own
// 32 bytes, the service it asks for and its proof; the agent checks it, tries the service, and
// sends its own proof with the outcome. Then bytes flow raw. One round trip, and a replayed or
// relayed head proves nothing, as each proof covers both challenges, the asker's role and the bytes
// of the service. Where the bridge takes it, the agent's answer carries the service's own socket,
// and the bytes flow there, past the agent.
//
//   proof = HMAC-SHA-256(token, role || agent's challenge || bridge's challenge || service)
//
// `role` is "slipway-bridge" or "slipway-agent", `service` the StreamHello without its proof. A
// wrong proof, which alone is told, a wrong version or 1 s of silence ends the stream.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"
#include "shared/io/uv_stream.h"
#include "shared/proto/agent.pb.h"
#include "shared/tunnel/token.h"

namespace slipway {

inline constexpr std::uint32_t kTunnelVersion = 1;
inline constexpr std::size_t kMaxHeadBytes = 4096;
inline constexpr std::chrono::milliseconds kHandshakeTimeout{1000};

// Of a relayed stream. Both its ends end each direction of a container's connection by itself; what
// dockerd and its clients have closed is over.
inline Gone goneOf(const v1::StreamHello& hello)
{
    return hello.has_connect() ? Gone::BrokenOff : Gone::Ended;
}

// A handshake under way on a non-blocking socket. It reads not one byte beyond the head, so that
// the socket can be handed to libuv, gRPC or a thread afterwards. Destroying it closes the socket.
class Handshake {
public:
    virtual ~Handshake() = default;
};

// The bridge's end. `done` gets the socket, ready for raw bytes: the service's own, if the agent
// handed it over. It may destroy the handshake.
using DialDone = std::function<void(Result<Descriptor>)>;
std::unique_ptr<Handshake> greet(Loop& loop, Descriptor socket, const Token& token,
                                 v1::StreamHello hello, DialDone done);

// The agent's end. `asked` is called once the bridge has proved itself; it must then call answer()
// exactly once, now or later.
class Visitor {
public:
    virtual ~Visitor() = default;
    virtual const v1::StreamHello& hello() const = 0;
    // Ok: the socket, ready for raw bytes, once the answer is written. An error is sent to the
    // bridge, and `done` gets an error too.
    virtual void answer(Result<> outcome, DialDone done) = 0;
    // Instead of answer(), to a hello that takes sockets: the service's own, which the stream
    // is from then on. `done` once it is on its way.
    virtual void handOver(Descriptor service, std::function<void(Result<>)> done) = 0;
};
using Asked = std::function<void(Visitor&)>;
using Refused = std::function<void(Error)>;  // The reason, for the log. May destroy the handshake.
std::unique_ptr<Handshake> welcome(Loop& loop, Descriptor socket, const Token& token, Asked asked,
                                   Refused refused);

}  // namespace slipway
