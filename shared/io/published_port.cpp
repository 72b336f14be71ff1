// Theory of operation. Each accepted client waits unread until the container has been reached,
// then one relay copies both ways with half-close. A client therefore costs two
// read buffers at most, and one that is never answered none. The listener accepts at once: a
// container that refuses is seen by the client as a connection that ends, as it is with Docker's
// own proxy.
#include "shared/io/published_port.h"

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/io/datagrams.h"

namespace slipway {

PublishedPort::PublishedPort(Loop& loop, Reach reach) : m_reach(std::move(reach)), m_loop(loop) {}

PublishedPort::~PublishedPort() = default;

Result<std::unique_ptr<PublishedPort>> PublishedPort::bind(Loop& loop, const PortAddress& at,
                                                           Reach reach)
{
    auto port = std::unique_ptr<PublishedPort>(new PublishedPort(loop, std::move(reach)));
    PublishedPort* self = port.get();
    if (at.protocol == Protocol::Udp) {
        auto serve = [self](StreamPtr client) { self->serve(std::move(client), {}); };
        TRY(port->m_listener, listenUdp(loop, at.address, at.port, serve));
        return port;
    }
    TRY(auto listening, listenTcpSocket(at.address, at.port));
    port->m_acceptor = std::make_unique<Acceptor>(
        loop, fmt::format("{}:{}", at.address, at.port), std::move(listening),
        [self](Descriptor client) { self->accepted(std::move(client)); });
    return port;
}

std::uint64_t PublishedPort::bytes() const
{
    std::uint64_t sum = m_bytesOfEnded;
    for (const Connection& connection : m_connections)
        if (connection.relay) sum += connection.relay->bytes();
    return sum;
}

void PublishedPort::accepted(Descriptor client)
{
    auto ends = endsOf(client);
    if (!ends) return;  // It has gone already.
    auto stream = adoptSocket(m_loop, std::move(client));
    if (stream) serve(std::move(*stream), *ends);
}

void PublishedPort::serve(StreamPtr client, const SocketEnds& ends)
{
    Place place = m_connections.emplace(m_connections.end());
    place->client = std::move(client);
    place->attempt = m_reach(
        ends, [this, place](Result<StreamPtr> container) { reached(place, std::move(container)); });
}

void PublishedPort::reached(Place connection, Result<StreamPtr> container)
{
    if (!container) {
        log::debug("ports: {}", container.error().message);
        return ended(connection);
    }
    connection->relay =
        std::make_unique<Relay>(std::move(connection->client), std::move(*container),
                                [this, connection](Result<>) { ended(connection); });
    connection->relay->start();
    connection->attempt.reset();
}

void PublishedPort::ended(Place connection)
{
    if (connection->relay) m_bytesOfEnded += connection->relay->bytes();
    m_connections.erase(connection);
}

}  // namespace slipway
