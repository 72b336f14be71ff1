// Ports that no port proxy claims: what containers listen on in the machine's own network, and
// swarm's ingress.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linux-vm-agent/ports/listening_sockets.h"
#include "linux-vm-agent/ports/unproxied.h"
#include "shared/io/loop.h"

namespace slipway {

// Theory of operation. Nobody tells of a process that begins to listen, so the kernel is asked for
// its listening sockets every kLook, but only while a container with the machine's network runs. A
// socket that was not there before is looked for in all processes, which costs more, and only
// once: whose it is does not change.
class HostListeners {
public:
    // A published port is to be there within a second.
    static constexpr std::chrono::milliseconds kLook{800};

    // `changed` gets all ports that there are now.
    using Changed = std::function<void(const std::vector<ClaimedPort>&)>;
    HostListeners(Loop& loop, Changed changed);

    void set(const Unproxied& unproxied);

private:
    void look();
    void learnOwners(const std::vector<ListeningSocket>& sockets);
    void tell();

    Changed m_changed;
    Timer m_timer;
    Unproxied m_unproxied;
    std::map<std::uint64_t, std::string> m_owners;  // By inode: a container's name; empty: none's.
    std::vector<ClaimedPort> m_listened;
    std::vector<ClaimedPort> m_told;
};

// How such a socket is published; none if it listens on an address that only the machine has.
std::optional<ClaimedPort> portOf(const ListeningSocket& socket, const std::string& container);

}  // namespace slipway
