// Theory of operation. A connection asks for its target, is refused or accepted, and is over when
// somebody else has taken its stream, or when its relay has ended. The answer goes over the parked
// stream, which is the way to the target from then on; where the client's own socket came along,
// the agent has nothing more to do with it, and a refusal is a reset of that socket.
#include "wsl-bridge/egress/outbound_connections.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/io/connect_socket.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

// Two descriptors each, of the 20,000 or so that a process may have.
constexpr std::size_t kMaxConnections = 8000;
constexpr std::uint32_t kMaxPort = 65535;

}  // namespace

struct OutboundConnections::Connection {
    std::unique_ptr<HeadSocket> stream;
    Descriptor client;
    std::unique_ptr<Connecting> connecting;
    std::unique_ptr<Relay> relay;
};

OutboundConnections::OutboundConnections(Loop& loop, Parts parts, EgressPolicy policy)
    : m_loop(loop), m_parts(std::move(parts)), m_policy(std::move(policy))
{
}

OutboundConnections::~OutboundConnections() = default;

void OutboundConnections::lead(const v1::DialOut& target, std::unique_ptr<HeadSocket> stream,
                               Descriptor client)
{
    Place connection = m_connections.emplace(m_connections.end());
    if (client)
        connection->client = std::move(client);
    else
        connection->stream = std::move(stream);
    if (m_connections.size() > kMaxConnections)
        return refuse(connection, {Code::ResourceExhausted,
                                   fmt::format("{} connections from the machine to the outside are "
                                               "open, as many as there may be",
                                               kMaxConnections)});
    begin(connection, target);
}

void OutboundConnections::begin(Place connection, const v1::DialOut& target)
{
    using Target = v1::DialOut::TargetCase;
    Target kind = target.target_case();
    switch (kind) {
        case Target::kEndpoint:
            return accept(connection, m_parts.endpoint);
        case Target::kNames:
            return accept(connection, m_parts.names);
        case Target::kHostTcp:
        case Target::kHostUdp: {
            bool udp = kind == Target::kHostUdp;
            auto port = udp ? target.host_udp().port() : target.host_tcp().port();
            if (auto may = mayReachService(port); !may) return refuse(connection, may.error());
            return connect(connection, udp, {"::1", "127.0.0.1"}, port);
        }
        case Target::kTcp:
        case Target::kUdp: {
            bool udp = kind == Target::kUdp;
            const auto& to = udp ? target.udp() : target.tcp();
            if (auto may = mayReach(to); !may) return refuse(connection, may.error());
            return connect(connection, udp, {to.address()}, to.port());
        }
        case Target::TARGET_NOT_SET:
            break;
    }
    refuse(connection, {Code::Unimplemented,
                        "this bridge does not know that way out; restart Slipway so that bridge "
                        "and agent are of one release"});
}

// The last address first; the next where nobody listens there.
void OutboundConnections::connect(Place connection, bool udp, std::vector<std::string> addresses,
                                  std::uint32_t port)
{
    if (port == 0 || port > kMaxPort)
        return refuse(connection, {Code::InvalidArgument, "not a port"});
    auto address = std::move(addresses.back());
    addresses.pop_back();
    auto connected = [this, connection, udp, addresses, port](Result<StreamPtr> far) {
        if (!far && !addresses.empty()) return connect(connection, udp, addresses, port);
        if (!far) return refuse(connection, far.error());
        auto shared = std::make_shared<StreamPtr>(*std::move(far));
        accept(connection, [this, connection, shared](StreamPtr near) {
            relay(connection, std::move(near), std::move(*shared));
        });
    };
    connection->connecting = (udp ? connectUdp : connectTcp)(
        m_loop, address, static_cast<std::uint16_t>(port), connected);
}

void OutboundConnections::accept(Place connection, Taker taker)
{
    auto take = [this, connection, taker = std::move(taker)](Descriptor socket) {
        auto near = adoptSocket(m_loop, std::move(socket));
        if (near) taker(*std::move(near));
        if (!near || !connection->relay) m_connections.erase(connection);
    };
    if (connection->client) return take(std::move(connection->client));
    connection->stream->send(v1::DialOutAnswer(), [this, connection, take](Result<> sent) {
        if (!sent) return void(m_connections.erase(connection));
        auto socket = connection->stream->release();
        connection->stream.reset();
        take(std::move(socket));
    });
}

void OutboundConnections::refuse(Place connection, const Error& why)
{
    log::debug("egress: {}", why.message);
    if (connection->client) {
        resetOnClose(connection->client);
        return void(m_connections.erase(connection));
    }
    v1::DialOutAnswer answer;
    answer.set_code(static_cast<std::uint32_t>(why.code));
    answer.set_message(why.message);
    connection->stream->send(
        answer, [this, connection](const Result<>&) { m_connections.erase(connection); });
}

void OutboundConnections::relay(Place connection, StreamPtr near, StreamPtr far)
{
    connection->relay = std::make_unique<Relay>(
        std::move(near), std::move(far),
        [this, connection](const Result<>&) { m_connections.erase(connection); });
    connection->relay->start();
}

Result<> OutboundConnections::mayReachService(std::uint32_t port) const
{
    const auto& allowed = m_policy.hostServices;
    if (!allowed || std::find(allowed->begin(), allowed->end(), port) != allowed->end()) return {};
    return fail(Code::PermissionDenied,
                fmt::format("the settings keep port {} of this host from containers; name it in "
                            "\"host_services\"",
                            port));
}

Result<> OutboundConnections::mayReach(const v1::ConnectService::Address& target) const
{
    if (!m_policy.everywhere)
        return fail(Code::PermissionDenied, "the machine's egress is not by the host");
    // A loopback address is the machine's own, and would be the host's here; so would 0.0.0.0.
    in_addr address{};
    if (::inet_pton(AF_INET, target.address().c_str(), &address) != 1)
        return fail(Code::InvalidArgument, "the machine's egress is by IPv4");
    auto net = ntohl(address.s_addr) >> 24;
    if (net == IN_LOOPBACKNET || net == 0)
        return fail(Code::PermissionDenied, "a loopback address is not reached that way");
    return {};
}

}  // namespace slipway
