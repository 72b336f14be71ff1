#include "linux-vm-agent/ports/machine_ports.h"

#include "shared/core/log.h"
#include "shared/io/datagrams.h"

namespace slipway {

void MachinePorts::add(const ClaimTable::Standing& claim)
{
    auto [place, isNew] = m_ports.try_emplace(claim.lease);
    if (isNew) place->second = bind(claim.port);
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
