// The network namespace beyond the machine's link to its host.
//
// Theory of operation. What containers send to the host, or, with egress by the host, anywhere, is
// to reach the agent, whatever its address and port. A rule that redirects it in the machine itself
// would run before Docker's own rules, and so lead around the isolation of networks from each other
// and around --internal. So the machine has a link to a second namespace, where nothing of Docker's
// is, and sends such packets there by its routes, after all of Docker's rules. There TPROXY
// (nft(8)) gives them to two sockets of the agent, that of TCP and that of UDP; getsockname(2) and
// IP_ORIGDSTADDR (ip(7)) say where they were sent.
//
// The namespace belongs to the machine and outlives the agent; one that is started anew finds it.
#pragma once

#include <cstdint>
#include <string>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/net/uplink.h"

namespace slipway {

class UplinkNamespace {
public:
    // Makes the namespace and the link, if they are not there. Blocks for some 20 ms.
    static Result<UplinkNamespace> open(const UplinkAddresses& addresses);

    // Gives everything but questions to `addresses.host`'s name server to the sockets at `port`. An
    // error if this kernel has no TPROXY.
    Result<> redirectTo(std::uint16_t port) const;

    // What has no other route leads here; or again where the machine's default route says.
    Result<> takeDefaultRoute(bool taken) const;

    // Calls `open` on this thread with the namespace's network; sockets that it makes stay there.
    template <class Open>
    auto within(Open&& open) const
    {
        Inside inside(*this);
        return open();
    }

    // `type` as for socket(2). It gets, or sends from, addresses that are not the machine's.
    Result<Descriptor> bindTransparent(int type, const std::string& address,
                                       std::uint16_t port) const;

private:
    class Inside {
    public:
        explicit Inside(const UplinkNamespace& uplink);
        ~Inside();
        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;

    private:
        const UplinkNamespace& m_uplink;
    };

    UplinkNamespace(UplinkAddresses addresses, Descriptor machine, Descriptor uplink);

    UplinkAddresses m_addresses;
    Descriptor m_machine;
    Descriptor m_uplink;
};

}  // namespace slipway
