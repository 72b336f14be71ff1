// The machine's network: one that collides with nothing of the host's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/net/subnet.h"

namespace slipway {

// A /24 that overlaps none of `taken`, out of 10.213.0.0/16 to 10.223.0.0/16, then 172.31.0.0/16,
// then 192.168.0.0/16. `seed` picks where the search begins. Default routes (/0) take nothing.
// None: all are taken.
std::optional<Subnet> chooseSubnet(std::span<const Subnet> taken, unsigned seed);

// Networks of the routes in the text of /proc/net/route.
std::vector<Subnet> routesOf(std::string_view procNetRoute);

// The machine's resolv.conf: it asks `nameserver`, in the domains and with the options of the
// host's.
std::string machineResolvConf(std::string_view hostText, const std::string& nameserver);

}  // namespace slipway
