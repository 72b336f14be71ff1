#include "linux-vm-agent/ports/claim_table.h"

#include <algorithm>

#include "shared/core/log.h"

namespace slipway {

ClaimTable::ClaimTable(Output& output, Lease firstLease) : m_output(output), m_nextLease(firstLease)
{
}

void ClaimTable::claim(ProxyId proxy, const ClaimedPort& port, Time now)
{
    if (auto known = find(port); known != m_claims.end()) {
        if (known->state == State::Pending) {
            known->proxy = proxy;  // Its first proxy is being replaced; the bridge still decides.
            return;
        }
        hold(*known, proxy);
        return m_output.answer(proxy, "");
    }
    withdrawOrphansInTheWay(port);
    if (std::string why = m_output.whyNoRoom(m_claims.size()); !why.empty()) {
        log::warn("ports: {} is refused: {}", toText(port), why);
        return m_output.answer(proxy, why);
    }
    log::info("ports: claim {}", toText(port));
    m_claims.push_back({m_nextLease++, port, State::Pending, proxy, now + kDecisionTime});
    tellClaim(m_claims.back(), false);
}

void ClaimTable::restate(ProxyId proxy, const ClaimedPort& port)
{
    auto known = find(port);
    if (known != m_claims.end() && known->state != State::Pending) return hold(*known, proxy);
    if (known == m_claims.end()) {
        m_claims.push_back({m_nextLease++, port, State::Held, proxy, std::nullopt});
        tellClaim(m_claims.back(), true);
        known = std::prev(m_claims.end());
    } else {
        hold(*known, proxy);
    }
    m_output.stands({known->lease, known->port});
}

void ClaimTable::ended(ProxyId proxy, End end, Time now)
{
    auto claim = std::find_if(m_claims.begin(), m_claims.end(),
                              [proxy](const Claim& each) { return each.proxy == proxy; });
    if (claim == m_claims.end()) return;  // Refused, or taken over by another proxy.
    bool forGood = end == End::Withdrawn || (end == End::Vanished && m_engineUp) ||
                   claim->state == State::Pending;
    if (forGood) {
        withdraw(claim);
        return;
    }
    log::info("ports: {} is without its proxy", toText(claim->port));
    claim->state = State::Orphan;
    claim->proxy = 0;
    if (m_engineUp) claim->deadline = now + kOrphanTime;
}

void ClaimTable::bridgeCame()
{
    m_bridge = true;
    for (const Claim& claim : m_claims) tellClaim(claim, claim.state != State::Pending);
    v1::PortRequest all;
    all.mutable_all_restated();
    m_output.tell(all);
}

void ClaimTable::bridgeGone()
{
    m_bridge = false;
}

void ClaimTable::decided(Lease lease, const std::string& refusal)
{
    auto claim = std::find_if(m_claims.begin(), m_claims.end(),
                              [lease](const Claim& each) { return each.lease == lease; });
    if (claim == m_claims.end()) return;  // Withdrawn meanwhile.
    if (!refusal.empty()) log::warn("ports: {} is refused: {}", toText(claim->port), refusal);
    if (claim->state != State::Pending) return;  // A running container's port: the bridge shows it.
    ProxyId proxy = claim->proxy;
    if (refusal.empty()) {
        hold(*claim, proxy);
        m_output.stands({claim->lease, claim->port});
    } else {
        m_claims.erase(claim);
    }
    m_output.answer(proxy, refusal);
}

void ClaimTable::engineUp(bool up, Time now)
{
    if (up == m_engineUp) return;
    m_engineUp = up;
    for (Claim& claim : m_claims) {
        if (claim.state != State::Orphan) continue;
        claim.deadline = up ? std::optional(now + kOrphanTime) : std::nullopt;
    }
}

void ClaimTable::elapse(Time now)
{
    for (auto claim = m_claims.begin(); claim != m_claims.end();) {
        bool due = claim->deadline && *claim->deadline <= now;
        claim = !due                             ? std::next(claim)
                : claim->state == State::Pending ? giveUp(claim)
                                                 : withdraw(claim);
    }
}

std::optional<ClaimTable::Time> ClaimTable::nextDeadline() const
{
    std::optional<Time> next;
    for (const Claim& claim : m_claims)
        if (claim.deadline && (!next || *claim.deadline < *next)) next = claim.deadline;
    return next;
}

std::vector<ClaimTable::Standing> ClaimTable::standing() const
{
    std::vector<Standing> all;
    for (const Claim& claim : m_claims)
        if (claim.state != State::Pending) all.push_back({claim.lease, claim.port});
    return all;
}

bool ClaimTable::publishes(std::string_view protocol, const std::string& address,
                           std::uint16_t port) const
{
    return std::any_of(m_claims.begin(), m_claims.end(), [&](const Claim& claim) {
        return claim.port.protocol == protocol && claim.port.containerAddress == address &&
               claim.port.containerPort == port;
    });
}

void ClaimTable::restore(const std::vector<Standing>& claims)
{
    for (const Standing& claim : claims) {
        m_claims.push_back({claim.lease, claim.port, State::Orphan, 0, std::nullopt});
        m_nextLease = std::max(m_nextLease, claim.lease + 1);
    }
}

ClaimTable::Claims::iterator ClaimTable::find(const ClaimedPort& port)
{
    return std::find_if(m_claims.begin(), m_claims.end(),
                        [&port](const Claim& claim) { return claim.port == port; });
}

void ClaimTable::hold(Claim& claim, ProxyId proxy)
{
    claim.state = State::Held;
    claim.proxy = proxy;
    claim.deadline.reset();
}

ClaimTable::Claims::iterator ClaimTable::withdraw(Claims::iterator claim)
{
    log::info("ports: withdraw {}", toText(claim->port));
    bool stood = claim->state != State::Pending;
    Lease lease = claim->lease;
    if (m_bridge) {
        v1::PortRequest request;
        request.set_lease(claim->lease);
        request.mutable_withdrawal();
        m_output.tell(request);
    }
    auto next = m_claims.erase(claim);
    if (stood) m_output.fell(lease);
    return next;
}

// A container that was started anew has another address, and its host port is free for it.
void ClaimTable::withdrawOrphansInTheWay(const ClaimedPort& port)
{
    for (auto claim = m_claims.begin(); claim != m_claims.end();) {
        bool inTheWay = claim->state == State::Orphan && claim->port.protocol == port.protocol &&
                        claim->port.hostAddress == port.hostAddress &&
                        claim->port.hostPort == port.hostPort;
        claim = inTheWay ? withdraw(claim) : std::next(claim);
    }
}

void ClaimTable::tellClaim(const Claim& claim, bool restated)
{
    if (!m_bridge) return;
    v1::PortRequest request;
    request.set_lease(claim.lease);
    request.set_restated(restated);
    auto* what = request.mutable_claim();
    what->set_protocol(claim.port.protocol);
    what->set_host_address(claim.port.hostAddress);
    what->set_host_port(claim.port.hostPort);
    what->set_container_address(claim.port.containerAddress);
    what->set_container_port(claim.port.containerPort);
    what->set_listener(claim.port.listener);
    m_output.tell(request);
}

ClaimTable::Claims::iterator ClaimTable::giveUp(Claims::iterator claim)
{
    m_output.answer(claim->proxy,
                    m_bridge
                        ? "slipway-bridge did not bind the port in time; see `slipway logs bridge`"
                        : "slipway-bridge is not there to bind the port; run `slipway start`");
    return withdraw(claim);
}

}  // namespace slipway
