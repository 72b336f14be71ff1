// What the machine asks of its host: the endpoint, names, services of the host, and, where the
// egress is the host's, everything that the host reaches.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "shared/proto/agent.pb.h"
#include "shared/tunnel/head_socket.h"

namespace slipway {

// Which of the host, and beyond it, the machine may reach.
struct EgressPolicy {
    bool everywhere = false;  // Its egress is the host's. Never the host's loopback by this.
    std::optional<std::vector<std::uint16_t>>
        hostServices;  // Ports on the host's loopback; none: all.
};

// Each is a connection of this process, as VPN clients, proxies and firewalls of the host see it.
class OutboundConnections {
public:
    using Taker = std::function<void(StreamPtr)>;
    struct Parts {
        Taker endpoint;  // Gets a client of the Docker API.
        Taker names;     // Gets a stream of framed DNS questions.
    };
    OutboundConnections(Loop& loop, Parts parts, EgressPolicy policy);
    ~OutboundConnections();  // Ends them all.

    void setPolicy(EgressPolicy policy) { m_policy = std::move(policy); }  // For those to come.

    // `stream` is how the agent asks, and will be the way to the target; or else `client` is its
    // client's own socket.
    void lead(const v1::DialOut& target, std::unique_ptr<HeadSocket> stream, Descriptor client);

private:
    struct Connection;
    using Place = std::list<Connection>::iterator;
    void begin(Place connection, const v1::DialOut& target);
    void connect(Place connection, bool udp, std::vector<std::string> addresses,
                 std::uint32_t port);
    void accept(Place connection, Taker taker);
    void refuse(Place connection, const Error& why);
    void relay(Place connection, StreamPtr near, StreamPtr far);
    Result<> mayReachService(std::uint32_t port) const;
    Result<> mayReach(const v1::ConnectService::Address& target) const;

    Loop& m_loop;
    Parts m_parts;
    EgressPolicy m_policy;
    std::list<Connection> m_connections;
};

}  // namespace slipway
