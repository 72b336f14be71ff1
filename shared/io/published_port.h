// One published port: a listener, and the way of its connections to the container. Of UDP, all
// that one peer sends is a connection (see datagrams.h).
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "shared/core/error.h"
#include "shared/io/acceptor.h"
#include "shared/io/listen_socket.h"
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
    // Begins to connect to the container for the client between those ends; of UDP they are not
    // told. Destroying what it returns gives up; `done` may destroy it.
    using Attempt = std::shared_ptr<void>;
    using Reach = std::function<Attempt(const SocketEnds& client, ConnectDone done)>;

    static Result<std::unique_ptr<PublishedPort>> bind(Loop& loop, const PortAddress& at,
                                                       Reach reach);
    ~PublishedPort();

    std::uint64_t bytes() const;  // Both ways, of all connections there were.

private:
    PublishedPort(Loop& loop, Reach reach);

    struct Connection {
        StreamPtr client;  // Until the container is reached.
        Attempt attempt;
        std::unique_ptr<Relay> relay;
    };
    using Place = std::list<Connection>::iterator;
    void accepted(Descriptor client);
    void serve(StreamPtr client, const SocketEnds& ends);
    void reached(Place connection, Result<StreamPtr> container);
    void ended(Place connection);

    Reach m_reach;
    Loop& m_loop;
    std::unique_ptr<Acceptor> m_acceptor;  // Of TCP.
    ListenerPtr m_listener;                // Of UDP.
    std::list<Connection> m_connections;
    std::uint64_t m_bytesOfEnded = 0;
};

}  // namespace slipway
