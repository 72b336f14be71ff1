// Published ports inside the machine, where Docker's own proxy would listen as well: dockerd
// reaches a registry on localhost by them, containers with the machine's network all others, and
// those on a bridge network what is published at its gateway.
#pragma once

#include <map>
#include <memory>

#include "linux-vm-agent/ports/claim_table.h"
#include "shared/io/published_port.h"

namespace slipway {

class MachinePorts {
public:
    explicit MachinePorts(Loop& loop) : m_loop(loop) {}

    // One that can't be bound here is logged: the host has it, which is what was asked for.
    void add(const ClaimTable::Standing& claim);
    void remove(Lease lease) { m_ports.erase(lease); }

private:
    std::unique_ptr<PublishedPort> bind(const ClaimedPort& claim);

    Loop& m_loop;
    std::map<Lease, std::unique_ptr<PublishedPort>> m_ports;  // Null: it could not be bound.
};

}  // namespace slipway
