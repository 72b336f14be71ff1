// The bridge's way into the machine: one dial, one stream.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "shared/io/byte_stream.h"
#include "shared/tunnel/handshake.h"

namespace slipway {

// A dial under way; destroying it gives up.
class Dialing {
public:
    virtual ~Dialing() = default;
};
using DialingPtr = std::unique_ptr<Dialing>;

class Dialer {
public:
    virtual ~Dialer() = default;

    // A socket of its own, for gRPC (`control`) and for the file server's threads (`share`).
    virtual DialingPtr dialSocket(v1::StreamHello hello, DialDone done) = 0;

    // A stream on the loop, for everything else.
    using StreamDone = std::function<void(Result<StreamPtr>)>;
    virtual DialingPtr dial(v1::StreamHello hello, StreamDone done) = 0;

    // Whether a stream to a socket of the machine may be that socket itself, handed over by the
    // agent, rather than a relay through it; and the client of a parked stream likewise. Without
    // effect where a machine has its own kernel.
    virtual void takeSockets(bool) {}
};

// Dials a unix socket that the machine's agent listens on.
std::unique_ptr<Dialer> unixDialer(Loop& loop, std::filesystem::path socket, const Token& token);

v1::StreamHello helloEngine();
v1::StreamHello helloControl();
v1::StreamHello helloPark();
v1::StreamHello helloShare(std::uint32_t channel);
v1::StreamHello helloConnectTcp(const std::string& address, std::uint16_t port);
v1::StreamHello helloConnectUdp(const std::string& address, std::uint16_t port);

}  // namespace slipway
