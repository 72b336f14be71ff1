#include "linux-vm-agent/dial_out/uplink.h"

#include <cerrno>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "shared/core/log.h"
#include "shared/io/connect_socket.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

constexpr std::uint16_t kPort = 1;  // Of both sockets; every other one can be asked for as well.

void refuse(Descriptor client, const Error& why)
{
    log::debug("uplink: {}", why.message);
    resetOnClose(client);
}

}  // namespace

Result<std::unique_ptr<Uplink>> Uplink::open(Loop& loop, ParkedStreams& parked,
                                             OutboundClients& clients, const Subnet& machineNetwork)
{
    auto addresses = uplinkOf(machineNetwork);
    TRY(auto space, UplinkNamespace::open(addresses));
    std::unique_ptr<Uplink> uplink(new Uplink(loop, clients, addresses, std::move(space)));
    TRY(uplink->m_names, uplink->m_namespace.within(
                             [&] { return NameServer::listen(loop, parked, addresses.host); }));
    if (auto listening = uplink->listen(); !listening)
        uplink->m_trouble = listening.error().message;
    return uplink;
}

Uplink::Uplink(Loop& loop, OutboundClients& clients, UplinkAddresses addresses,
               UplinkNamespace uplink)
    : m_loop(loop),
      m_clients(clients),
      m_addresses(std::move(addresses)),
      m_namespace(std::move(uplink))
{
}

Result<> Uplink::listen()
{
    TRY(auto tcp, m_namespace.bindTransparent(SOCK_STREAM, "0.0.0.0", kPort));
    TRY(auto udp, m_namespace.bindTransparent(SOCK_DGRAM, "0.0.0.0", kPort));
    if (::listen(tcp.get(), SOMAXCONN) < 0) return failErrno("listen beyond the machine", errno);
    TRY_VOID(m_namespace.redirectTo(kPort));
    m_tcp.emplace(m_loop, "the uplink", std::move(tcp),
                  [this](Descriptor client) { tcpClient(std::move(client)); });
    auto bindTo = [this](const std::string& address, std::uint16_t port) {
        return m_namespace.bindTransparent(SOCK_DGRAM, address, port);
    };
    auto accepted = [this](StreamPtr client, const std::string& address, std::uint16_t port) {
        m_clients.lead(std::move(client), targetOf(address, port, true));
    };
    TRY(m_udp, listenTransparently(m_loop, {std::move(udp), bindTo, accepted}));
    return {};
}

Result<> Uplink::carryEverything(bool everything)
{
    if (everything && !m_trouble.empty()) return fail(Code::FailedPrecondition, m_trouble);
    return m_namespace.takeDefaultRoute(everything);
}

void Uplink::tcpClient(Descriptor client)
{
    sockaddr_in to{};
    socklen_t size = sizeof to;
    char text[INET_ADDRSTRLEN];
    if (::getsockname(client.get(), reinterpret_cast<sockaddr*>(&to), &size) < 0) return;
    ::inet_ntop(AF_INET, &to.sin_addr, text, sizeof text);
    m_clients.lead(std::move(client), targetOf(text, ntohs(to.sin_port), false), refuse);
}

v1::DialOut Uplink::targetOf(const std::string& address, std::uint16_t port, bool udp) const
{
    v1::DialOut target;
    if (address == m_addresses.host) {
        (udp ? target.mutable_host_udp() : target.mutable_host_tcp())->set_port(port);
    } else {
        auto* to = udp ? target.mutable_udp() : target.mutable_tcp();
        to->set_address(address);
        to->set_port(port);
    }
    return target;
}

}  // namespace slipway
