// Where an engine other than the machine's listens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

struct EngineAddress {
    std::filesystem::path socket;  // A unix socket; else
    std::string host;              // a name, or an address without brackets, and
    std::uint16_t port = 0;

    bool isTcp() const { return socket.empty(); }
    bool isLoopback() const;  // Nobody else can listen in.
};

// What docker takes as a host, or HOST:PORT alone: unix:///run/docker.sock, tcp://10.0.0.5:2376,
// tcp://[::1]:2375, 10.0.0.5:2375. Without a port it is 2375.
Result<EngineAddress> parseEngineAddress(std::string_view text);

std::string toText(const EngineAddress& address);  // As docker takes it.

}  // namespace slipway
