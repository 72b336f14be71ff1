// The command line that dockerd gives its userland proxy.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "linux-vm-agent/port_proxy/claimed_port.h"

namespace slipway {

// The port, or what is wrong with the arguments. They are as Go's flag package takes them: `-name
// value`,
// `-name=value`, one dash or two (moby, cmd/docker-proxy/main_linux.go).
std::variant<ClaimedPort, std::string> parseArguments(std::span<const std::string_view> arguments);

}  // namespace slipway
