// What leaves the machine for its host, or by it: names, services of the host, and, with egress by
// the host, everything.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "linux-vm-agent/dial_out/name_server.h"
#include "linux-vm-agent/dial_out/outbound_clients.h"
#include "linux-vm-agent/dial_out/uplink_namespace.h"
#include "shared/io/acceptor.h"

namespace slipway {

class Uplink {
public:
    static Result<std::unique_ptr<Uplink>> open(Loop& loop, ParkedStreams& parked,
                                                OutboundClients& clients,
                                                const Subnet& machineNetwork);

    const std::string& host() const { return m_addresses.host; }  // As containers reach it.
    // Why only names can be asked for; empty: everything goes.
    const std::string& trouble() const { return m_trouble; }

    // Whether everything leaves the machine by the host, or only what is meant for it.
    Result<> carryEverything(bool everything);

private:
    Uplink(Loop& loop, OutboundClients& clients, UplinkAddresses addresses, UplinkNamespace uplink);
    Result<> listen();
    void tcpClient(Descriptor client);
    v1::DialOut targetOf(const std::string& address, std::uint16_t port, bool udp) const;

    Loop& m_loop;
    OutboundClients& m_clients;
    UplinkAddresses m_addresses;
    UplinkNamespace m_namespace;
    std::string m_trouble;
    std::unique_ptr<NameServer> m_names;
    std::optional<Acceptor> m_tcp;
    ListenerPtr m_udp;
};

}  // namespace slipway
