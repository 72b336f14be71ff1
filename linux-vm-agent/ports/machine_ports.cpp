#include "linux-vm-agent/ports/machine_ports.h"

#include <set>

#include "shared/core/log.h"
#include "shared/io/datagrams.h"

namespace slipway {

void MachinePorts::keep(const std::vector<ClaimTable::Standing>& claims)
{
    std::set<Lease> kept;
    for (const auto& claim : claims) kept.insert(claim.lease);
    std::erase_if(m_ports, [&kept](const auto& port) { return !kept.contains(port.first); });
    for (const auto& [lease, claim] : claims)
        if (!m_ports.contains(lease)) m_ports[lease] = bind(claim);
}

std::unique_ptr<PublishedPort> MachinePorts::bind(const ClaimedPort& claim)
{
    if (!claim.listener.empty()) return nullptr;  // It listens there itself.
    bool udp = claim.protocol == "udp";
    if (!udp && claim.protocol != "tcp") return nullptr;
    auto reach = [&loop = m_loop, claim, udp](const SocketEnds&, ConnectDone done) {
        return (udp ? connectUdp : connectTcp)(loop, claim.containerAddress, claim.containerPort,
                                               std::move(done));
    };
    auto port = PublishedPort::bind(
        m_loop, {udp ? Protocol::Udp : Protocol::Tcp, claim.hostAddress, claim.hostPort}, reach);
    if (port) return *std::move(port);
    // An address of the host's is none of the machine's.
    if (port.error().code != Code::InvalidArgument)
        log::warn("ports: {} is not to be had inside the machine: {}", toText(claim),
                  port.error().message);
    return nullptr;
}

}  // namespace slipway
