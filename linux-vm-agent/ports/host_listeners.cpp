#include "linux-vm-agent/ports/host_listeners.h"

#include <algorithm>
#include <set>

#include "linux-vm-agent/ports/socket_owners.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::size_t kShortId = 12;  // As docker shows one.

}  // namespace

std::optional<ClaimedPort> portOf(const ListeningSocket& socket, const std::string& container)
{
    std::string target = socket.address;
    if (target == "0.0.0.0") target = "127.0.0.1";
    if (target == "::") target = "::1";
    if (!target.starts_with("127.") && target != "::1") return std::nullopt;
    return ClaimedPort{socket.protocol, socket.address, socket.port,
                       target,          socket.port,    "container " + container};
}

HostListeners::HostListeners(Loop& loop, Changed changed)
    : m_changed(std::move(changed)), m_timer(loop)
{
}

void HostListeners::set(const Unproxied& unproxied)
{
    bool looked = !m_unproxied.hostContainers.empty();
    m_unproxied = unproxied;
    if (m_unproxied.hostContainers.empty()) {
        m_timer.stop();
        m_owners.clear();
        m_listened.clear();
        return tell();
    }
    if (!looked) m_timer.every(kLook, [this] { look(); });
    look();
}

void HostListeners::look()
{
    auto sockets = listeningSockets();
    if (!sockets) return log::warn("ports: {}", sockets.error().message);
    learnOwners(*sockets);
    m_listened.clear();
    for (const ListeningSocket& socket : *sockets) {
        auto owner = m_owners.find(socket.inode);
        if (owner == m_owners.end() || owner->second.empty()) continue;
        auto port = portOf(socket, owner->second);
        // Several sockets may share a port (SO_REUSEPORT).
        if (port && std::find(m_listened.begin(), m_listened.end(), *port) == m_listened.end())
            m_listened.push_back(*port);
    }
    tell();
}

void HostListeners::learnOwners(const std::vector<ListeningSocket>& sockets)
{
    std::set<std::uint64_t> there;
    std::set<std::uint64_t> unknown;
    for (const ListeningSocket& socket : sockets) {
        there.insert(socket.inode);
        if (!m_owners.contains(socket.inode)) unknown.insert(socket.inode);
    }
    std::erase_if(m_owners, [&](const auto& owner) { return !there.contains(owner.first); });
    for (const auto& [inode, container] : ownersOfSockets(unknown)) {
        auto name = m_unproxied.hostContainers.find(container);
        m_owners[inode] =
            name == m_unproxied.hostContainers.end() ? container.substr(0, kShortId) : name->second;
    }
}

void HostListeners::tell()
{
    std::vector<ClaimedPort> ports = m_listened;
    const auto& services = m_unproxied.servicePorts;
    ports.insert(ports.end(), services.begin(), services.end());
    if (ports == m_told) return;
    m_told = ports;
    m_changed(m_told);
}

}  // namespace slipway
