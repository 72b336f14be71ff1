// Theory of operation. A lease is one claim of dockerd's port proxy, or of the agent for who
// listens in the machine's own network. It is bound at once, so that dockerd learns the truth
// before it starts the container; finding out who holds a taken port may need the engine's list of
// containers, so the answer comes later. A lease goes through these states:
//
//   claim -> Bound                 until withdraw() or the table's end
//         -> refused               forgotten, as the container does not start
//         -> refused, restated     kept for the status, as its container runs on without the port
//         -> Empty                 "::" on a host without IPv6: accepted, nothing bound
//
// Whose a port is can't be known before the container runs. It is learned when the engine's
// containers change; a client who comes before that waits for the answer, as the container may
// want to be told who he is (see proxy_protocol.h).
#include "wsl-bridge/ports/port_table.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/core/open_limit.h"
#include "wsl-bridge/ports/introduction.h"
#include "wsl-bridge/ports/port_holder.h"
#include "wsl-bridge/ports/proxy_protocol.h"

namespace slipway {

struct PortTable::Lease {
    v1::PortClaim claim;
    bool restated = false;
    PortAddress host;
    std::unique_ptr<PublishedPort> port;  // Null: refused, or nothing to bind.
    std::string container;
    bool asked = false;        // For its owner.
    bool known = false;        // Its owner is.
    bool proxyHeader = false;  // Its owner wants one.
    std::chrono::system_clock::time_point since;
    Refusal refusal;
};

namespace {

bool sameTuple(const v1::PortClaim& a, const v1::PortClaim& b)
{
    return a.protocol() == b.protocol() && a.host_address() == b.host_address() &&
           a.host_port() == b.host_port() && a.container_address() == b.container_address() &&
           a.container_port() == b.container_port();
}

// "container web" -> "web"; empty for a port proxy's claim.
std::string listenerName(const v1::PortClaim& claim)
{
    const std::string& listener = claim.listener();
    return listener.substr(std::min(listener.find(' ') + 1, listener.size()));
}

bool isService(const v1::PortClaim& claim)
{
    return claim.listener().starts_with("service ");
}

// What its container is found by.
std::string ownerKey(const v1::PortClaim& claim)
{
    return claim.listener().empty() ? claim.container_address() : listenerName(claim);
}

PortAddress hostSide(const v1::PortClaim& claim, DefaultAddress wanted,
                     const PortTable::NamesAddress& namesAddress)
{
    PortAddress host{claim.protocol() == "udp" ? Protocol::Udp : Protocol::Tcp,
                     claim.host_address(), static_cast<std::uint16_t>(claim.host_port())};
    if (wanted == DefaultAddress::All || (namesAddress && namesAddress(claim))) return host;
    if (host.address == "0.0.0.0") host.address = "127.0.0.1";
    if (host.address == "::") host.address = "::1";
    return host;
}

std::string nameOf(const PortAddress& host)
{
    bool ipv6 = host.address.find(':') != std::string::npos;
    return fmt::format("{}:{}{}", ipv6 ? fmt::format("[{}]", host.address) : host.address,
                       host.port, host.protocol == Protocol::Udp ? "/udp" : "");
}

}  // namespace

PortTable::PortTable(Loop& loop, Dialer& dialer, Options options)
    : m_loop(loop), m_dialer(dialer), m_options(std::move(options))
{
}

PortTable::~PortTable() = default;

void PortTable::claim(std::uint64_t id, const v1::PortClaim& claim, bool restated, Decided decided)
{
    if (auto known = m_leases.find(id); known != m_leases.end()) {
        if (sameTuple(known->second->claim, claim) && known->second->refusal.reason.empty())
            return decide(id, {}, decided);
        m_leases.erase(known);
    }
    auto lease = std::make_unique<Lease>();
    lease->claim = claim;
    lease->restated = restated;
    lease->container = listenerName(claim);
    lease->known = isService(claim);  // No container is.
    lease->host = hostSide(claim, m_options.defaultAddress, m_options.namesAddress);
    lease->since = std::chrono::system_clock::now();
    Result<> bound = bind(id, *lease);
    PortAddress host = lease->host;
    m_leases[id] = std::move(lease);
    if (bound) return decide(id, {}, decided);
    if (bound.error().code == Code::AlreadyExists) return explainHolder(id, host, decided);
    decide(id, refusalOf(host, bound.error()), decided);
}

Result<> PortTable::bind(std::uint64_t id, Lease& lease)
{
    const v1::PortClaim& claim = lease.claim;
    if (claim.protocol() != "tcp" && claim.protocol() != "udp")
        return fail(Code::Unimplemented,
                    fmt::format("TCP and UDP ports are published, not {}", claim.protocol()));
    if (claim.host_port() > 0xffff || claim.container_port() == 0 ||
        claim.container_port() > 0xffff)
        return fail(Code::InvalidArgument, "not a port");
    if (auto room = roomForPort(m_leases.size(), 1); !room)
        return tl::unexpected(context("bind " + nameOf(lease.host), room.error()));
    auto port = PublishedPort::bind(m_loop, lease.host,
                                    [this, id](const SocketEnds& client, ConnectDone done) {
                                        return reach(id, client, std::move(done));
                                    });
    if (port) {
        lease.port = std::move(*port);
        return {};
    }
    bool noSuchAddress =  // EADDRNOTAVAIL; EAFNOSUPPORT where the kernel was built without IPv6.
        port.error().code == Code::InvalidArgument || port.error().code == Code::Unknown;
    if (claim.host_address() == "::" && noSuchAddress) {
        log::info("ports: {}: this host has no IPv6, nothing bound", nameOf(lease.host));
        return {};
    }
    return tl::unexpected(port.error());
}

PublishedPort::Attempt PortTable::reach(std::uint64_t id, const SocketEnds& client,
                                        ConnectDone done)
{
    const Lease& lease = *m_leases.at(id);
    const v1::PortClaim& claim = lease.claim;
    auto port = static_cast<std::uint16_t>(claim.container_port());
    if (lease.host.protocol == Protocol::Udp)
        return m_dialer.dial(helloConnectUdp(claim.container_address(), port), std::move(done));
    auto hello = helloConnectTcp(claim.container_address(), port);
    bool isKnown = lease.known || !m_options.ownerOf;
    if (isKnown && !lease.proxyHeader) return m_dialer.dial(hello, std::move(done));
    auto introduction =
        std::make_shared<Introduction>(m_dialer, hello, proxyHeader(client), std::move(done));
    if (isKnown) {
        introduction->start(true);
        return introduction;
    }
    auto answered = [this, id, waiting = std::weak_ptr(introduction)](const PortOwner& owner) {
        learned(id, owner);
        auto asked = m_leases.find(id);
        auto wanted = waiting.lock();
        if (wanted && asked != m_leases.end()) wanted->start(asked->second->proxyHeader);
    };
    m_options.ownerOf(ownerKey(claim), m_alive.wrap(std::move(answered)));
    return introduction;
}

PortTable::Refusal PortTable::refusalOf(const PortAddress& host, const Error& error) const
{
    if (error.code == Code::PermissionDenied && host.port < firstUnprivilegedPort()) {
        std::string remedy = remedyForLowPort(host.port);
        return {fmt::format("bind {}: ports below {} need a right that Slipway lacks; {}",
                            nameOf(host), firstUnprivilegedPort(), remedy),
                remedy};
    }
    if (error.code == Code::Unimplemented) return {error.message, "publish a TCP or UDP port"};
    return {error.message, "publish another port or address"};
}

void PortTable::explainHolder(std::uint64_t id, const PortAddress& host, const Decided& decided)
{
    auto refuse = [this, id, host, decided](const std::string& holder, const std::string& remedy) {
        decide(id, {fmt::format("bind {}: held by {}", nameOf(host), holder), remedy}, decided);
    };
    for (const auto& [otherId, other] : m_leases) {
        if (!other->port || other->host.port != host.port || other->host.protocol != host.protocol)
            continue;
        if (std::string name = listenerName(other->claim); !name.empty()) {
            bool service = isService(other->claim);
            return refuse(fmt::format("{} \"{}\"", service ? "service" : "container", name),
                          fmt::format("docker {} {}, or publish another port",
                                      service ? "service rm" : "stop", name));
        }
        auto told = [refuse](const std::string& address, const std::string& name) {
            std::string holder = name.empty() ? "the container at " + address
                                              : fmt::format("container \"{}\"", name);
            refuse(holder, name.empty()
                               ? "publish another port"
                               : fmt::format("docker stop {}, or publish another port", name));
        };
        std::string address = other->claim.container_address();
        if (!m_options.ownerOf) return told(address, other->container);
        return m_options.ownerOf(address, m_alive.wrap([told, address](const PortOwner& owner) {
            told(address, owner.name);
        }));
    }
    auto holder = holderOfPort(host);
    refuse(holder.value_or("a process that could not be found"),
           fmt::format("stop {}, or publish another port", holder.value_or("it")));
}

void PortTable::decide(std::uint64_t id, Refusal refusal, const Decided& decided)
{
    auto lease = m_leases.find(id);
    if (lease != m_leases.end() && !refusal.reason.empty()) {
        log::warn("ports: {}", refusal.reason);
        if (lease->second->restated)
            lease->second->refusal = refusal;
        else
            m_leases.erase(lease);
    }
    if (m_leases.contains(id) && m_leases[id]->restated) learn(id);  // Its container runs already.
    v1::PortDecision decision;
    decision.set_lease(id);
    decision.set_refusal(refusal.reason);
    m_loop.post(m_alive.wrap([this, decided, decision] {
        if (m_options.changed) m_options.changed();
        decided(decision);
    }));
}

void PortTable::withdraw(std::uint64_t id)
{
    if (m_leases.erase(id) && m_options.changed) m_options.changed();
}

std::vector<PortTable::Entry> PortTable::list() const
{
    std::vector<Entry> entries;
    for (const auto& [id, lease] : m_leases) {
        if (!lease->port && lease->refusal.reason.empty()) continue;
        entries.push_back(
            {lease->claim, lease->host.address,
             lease->container.empty() ? lease->claim.container_address() : lease->container,
             lease->since, lease->port ? lease->port->bytes() : 0, lease->refusal.reason,
             lease->refusal.remedy});
    }
    return entries;
}

void PortTable::learnNames()
{
    for (const auto& [id, lease] : m_leases) learn(id);
}

void PortTable::learn(std::uint64_t id)
{
    Lease& lease = *m_leases.at(id);
    if (!m_options.ownerOf || lease.known || lease.asked) return;
    lease.asked = true;
    m_options.ownerOf(ownerKey(lease.claim),
                      m_alive.wrap([this, id](const PortOwner& owner) { learned(id, owner); }));
}

void PortTable::learned(std::uint64_t id, const PortOwner& owner)
{
    auto found = m_leases.find(id);
    if (found == m_leases.end()) return;
    Lease& lease = *found->second;
    lease.asked = false;
    // Not started yet, perhaps; asked again when the containers change, or a client comes.
    if (owner.name.empty()) return;
    lease.known = true;
    lease.proxyHeader = asksForProxyHeader(
        owner.proxyProtocol, static_cast<std::uint16_t>(lease.claim.container_port()));
    if (std::exchange(lease.container, owner.name) != owner.name && m_options.changed)
        m_options.changed();
}

}  // namespace slipway
