// The machine's link to what its host serves: the last four addresses of its network.
#pragma once

#include <string>

#include "shared/net/subnet.h"

namespace slipway {

struct UplinkAddresses {
    std::string host;     // host.docker.internal, and the machine's name server.
    std::string machine;  // The machine's own.
    static constexpr int kPrefix = 30;
};

// 10.213.7.253 and 10.213.7.254 of 10.213.7.0/24.
inline UplinkAddresses uplinkOf(const Subnet& machine)
{
    std::uint32_t size = 1u << (32 - machine.prefix);
    return {machine.host(size - 3), machine.host(size - 2)};
}

}  // namespace slipway
