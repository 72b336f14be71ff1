// Who holds which published port: the rules, without sockets, threads or a clock of their own.
//
// Theory of operation. A claim is Pending until the bridge has bound the port on the host (or
// refused, or kept silent for too long), Held for as long as the proxy that made it is there, and
// an Orphan when the proxy went because dockerd did: containers go on then, and so must their
// ports. Transitions:
//
//   claim()             -> Pending;  Held if the same port is there already, which is taken over
//   decided(), bound    Pending -> Held
//   decided(), refused  Pending -> gone; its proxy gets the reason
//   ended(Withdrawn)    any -> gone
//   ended(Left)         Held -> Orphan, Pending -> gone
//   ended(Vanished)     as Withdrawn while the engine is up, as Left while it is not
//   elapse()            Pending -> gone at kDecisionTime; Orphan -> gone kOrphanTime after the
//   engine came up
//
// A new dockerd starts all its proxies anew, which is how orphans find their next holder. What
// stands is also kept in a file by the owner (standing(), restore()), so that an agent that is
// started anew knows every lease by the number the bridge knows; there all are orphans until their
// proxies restate them.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "linux-vm-agent/port_proxy/claimed_port.h"
#include "shared/proto/agent.pb.h"

namespace slipway {

using Lease = std::uint64_t;

class ClaimTable {
public:
    using ProxyId = std::uint64_t;
    using Time = std::chrono::steady_clock::time_point;

    static constexpr std::chrono::seconds kDecisionTime{12};  // dockerd gives up at 16 s.
    static constexpr std::chrono::seconds kOrphanTime{30};

    struct Standing {
        Lease lease = 0;
        ClaimedPort port;
    };

    // Where the table's words go. Called from within its methods; must not call back into it.
    class Output {
    public:
        virtual ~Output() = default;
        virtual void answer(ProxyId proxy, const std::string& refusal) = 0;  // Empty: bound.
        virtual void tell(const v1::PortRequest& request) = 0;  // Only while the bridge is there.
        virtual void stands(const Standing& claim) = 0;         // From now on; until
        virtual void fell(Lease lease) = 0;
        // Why there can be no more claims than these; empty: there can.
        virtual std::string whyNoRoom(std::size_t claims) = 0;
    };

    // `firstLease` is greater than every lease of this machine so far.
    ClaimTable(Output& output, Lease firstLease);

    enum class End { Withdrawn, Left, Vanished };
    void claim(ProxyId proxy, const ClaimedPort& port, Time now);
    void restate(ProxyId proxy, const ClaimedPort& port);
    void ended(ProxyId proxy, End end, Time now);

    void bridgeCame();  // Tells it all that stands and all that waits.
    void bridgeGone();
    void decided(Lease lease, const std::string& refusal);

    void engineUp(bool up, Time now);
    void elapse(Time now);
    std::optional<Time> nextDeadline() const;

    std::vector<Standing> standing() const;  // Held and orphaned.
    // Whether the container side of a claim is this, whatever its state.
    bool publishes(std::string_view protocol, const std::string& address, std::uint16_t port) const;
    void restore(const std::vector<Standing>& claims);

private:
    enum class State { Pending, Held, Orphan };
    struct Claim {
        Lease lease = 0;
        ClaimedPort port;
        State state = State::Pending;
        ProxyId proxy = 0;
        std::optional<Time> deadline;
    };
    using Claims = std::list<Claim>;

    Claims::iterator find(const ClaimedPort& port);
    void hold(Claim& claim, ProxyId proxy);
    Claims::iterator withdraw(Claims::iterator claim);
    void withdrawOrphansInTheWay(const ClaimedPort& port);
    void tellClaim(const Claim& claim, bool restated);
    Claims::iterator giveUp(Claims::iterator claim);

    Output& m_output;
    Claims m_claims;  // In the order they were made.
    Lease m_nextLease;
    bool m_bridge = false;
    bool m_engineUp = false;
};

}  // namespace slipway
