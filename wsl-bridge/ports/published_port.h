// One published port: a listener on the host, and its connections into the machine.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "shared/core/error.h"
#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/dialer.h"

namespace slipway {

struct TcpTarget {
    std::string address;
    std::uint16_t port = 0;
};

// Bound for as long as it lives. Destroying it closes its connections too.
class PublishedPort {
public:
    static Result<std::unique_ptr<PublishedPort>> bind(Loop& loop, Dialer& dialer,
                                                       const TcpTarget& host, TcpTarget container);
    ~PublishedPort();

    std::uint64_t bytes() const;  // Both ways, of all connections there were.

private:
    PublishedPort(Dialer& dialer, TcpTarget container);

    struct Connection {
        StreamPtr client;  // Until the container is reached.
        DialingPtr dialing;
        std::unique_ptr<Relay> relay;
    };
    using Place = std::list<Connection>::iterator;
    void accepted(StreamPtr client);
    void reached(Place connection, Result<StreamPtr> container);
    void ended(Place connection);

    Dialer& m_dialer;
    TcpTarget m_container;
    ListenerPtr m_listener;
    std::list<Connection> m_connections;
    std::uint64_t m_bytesOfEnded = 0;
};

}  // namespace slipway
