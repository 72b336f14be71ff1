// Published ports inside the machine, where Docker's own proxy would listen as well: dockerd
// reaches a registry on localhost by them, containers with the machine's network all others, and
// those on a bridge network what is published at its gateway.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "linux-vm-agent/ports/claim_table.h"
#include "shared/io/published_port.h"

namespace slipway {

class MachinePorts {
public:
    explicit MachinePorts(Loop& loop) : m_loop(loop) {}

    // From now on the ports of these claims and no others. One that can't be bound here is
    // logged: the host has it, which is what was asked for.
    void keep(const std::vector<ClaimTable::Standing>& claims);

private:
    std::unique_ptr<PublishedPort> bind(const ClaimedPort& claim);

    Loop& m_loop;
    std::map<Lease, std::unique_ptr<PublishedPort>> m_ports;  // Null: it could not be bound.
};

}  // namespace slipway
