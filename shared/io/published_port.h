// One published port: a listener, and the way of its connections to the container. Of UDP, all
// that one peer sends is a connection (see datagrams.h).
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "shared/core/error.h"
#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"

namespace slipway {

enum class Protocol { Tcp, Udp };

struct PortAddress {
    Protocol protocol = Protocol::Tcp;
    std::string address;  // Numeric, IPv4 or IPv6.
    std::uint16_t port = 0;
};

// Bound for as long as it lives. Destroying it closes its connections too.
class PublishedPort {
public:
    // Begins to connect to the container. Destroying what it returns gives up; `done` may destroy
    // it.
    using Attempt = std::shared_ptr<void>;
    using Reach = std::function<Attempt(ConnectDone done)>;

    static Result<std::unique_ptr<PublishedPort>> bind(Loop& loop, const PortAddress& at,
                                                       Reach reach);
    ~PublishedPort();

    std::uint64_t bytes() const;  // Both ways, of all connections there were.

private:
    explicit PublishedPort(Reach reach);

    struct Connection {
        StreamPtr client;  // Until the container is reached.
        Attempt attempt;
        std::unique_ptr<Relay> relay;
    };
    using Place = std::list<Connection>::iterator;
    void accepted(StreamPtr client);
    void reached(Place connection, Result<StreamPtr> container);
    void ended(Place connection);

    Reach m_reach;
    ListenerPtr m_listener;
    std::list<Connection> m_connections;
    std::uint64_t m_bytesOfEnded = 0;
};

}  // namespace slipway
