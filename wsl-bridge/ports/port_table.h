// The host's side of published ports: who has claimed which, bound or refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/io/loop.h"
#include "shared/proto/agent.pb.h"
#include "shared/tunnel/dialer.h"
#include "shared/io/published_port.h"

namespace slipway {

// Where a port is bound when the user gave no address: dockerd then claims 0.0.0.0 and, for IPv6,
// ::, as it does for an explicit 0.0.0.0 (see NamesAddress).
enum class DefaultAddress { Loopback, All };

// A running container.
struct PortOwner {
    std::string name;           // Empty: none is known.
    std::string proxyProtocol;  // See asksForProxyHeader().
};

class PortTable {
public:
    // Looks up the container that has an address in the machine, or else that name.
    using OwnerDone = std::function<void(PortOwner)>;
    using OwnerOf = std::function<void(const std::string& addressOrName, OwnerDone)>;
    // Whether the user named the claim's address, which is 0.0.0.0 or ::.
    using NamesAddress = std::function<bool(const v1::PortClaim&)>;
    struct Options {
        DefaultAddress defaultAddress = DefaultAddress::Loopback;
        NamesAddress namesAddress;      // May be empty: none is named.
        OwnerOf ownerOf;                // May be empty.
        std::function<void()> changed;  // The list is another now. May be empty.
    };
    PortTable(Loop& loop, Dialer& dialer, Options options);
    ~PortTable();  // Closes every listener and connection.

    // Binds. The decision is made before the container starts; its refusal says why and what to do.
    // The answer comes from the loop, and never once the table is gone. A lease that is claimed
    // again keeps its listener. A restated claim that is refused stays in the list, as the
    // container runs on.
    using Decided = std::function<void(v1::PortDecision)>;
    void claim(std::uint64_t lease, const v1::PortClaim& claim, bool restated, Decided decided);

    void withdraw(std::uint64_t lease);  // With all its connections.

    struct Entry {
        v1::PortClaim claim;
        std::string hostAddress;  // Where it is bound, which the setting may have changed.
        std::string container;    // Its name, or its address until that is known.
        std::chrono::system_clock::time_point since;
        std::uint64_t bytes = 0;  // Both ways.
        std::string refusal;      // Empty: bound.
        std::string remedy;
    };
    std::vector<Entry> list() const;

    // The engine's containers are others now: asks for the names that are not known yet. `changed`
    // is called when they are.
    void learnNames();

private:
    struct Lease;
    struct Refusal {
        std::string reason;  // Empty: none.
        std::string remedy;
    };
    Result<> bind(std::uint64_t id, Lease& lease);
    Refusal refusalOf(const PortAddress& host, const Error& error) const;
    void explainHolder(std::uint64_t id, const PortAddress& host, const Decided& decided);
    void decide(std::uint64_t id, Refusal refusal, const Decided& decided);
    void learn(std::uint64_t id);
    void learned(std::uint64_t id, const PortOwner& owner);
    PublishedPort::Attempt reach(std::uint64_t id, const SocketEnds& client, ConnectDone done);

    Loop& m_loop;
    Dialer& m_dialer;
    Options m_options;
    std::map<std::uint64_t, std::unique_ptr<Lease>> m_leases;
    Alive m_alive;
};

}  // namespace slipway
