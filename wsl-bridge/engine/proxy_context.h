// What all proxies of one endpoint share.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "shared/io/loop.h"
#include "shared/paths/home.h"
#include "wsl-bridge/engine/bind_records.h"
#include "wsl-bridge/engine/engine_reach.h"

namespace slipway {

struct ProxyOptions {
    using Done = std::function<void(Result<>)>;

    User user;  // Whose the socket, and the folders that binds create, are.
    std::filesystem::path endpointSocket;
    std::filesystem::path recordsDir;       // Of the spellings of host paths.
    std::chrono::milliseconds wait{10000};  // For an engine that starts, or is being restarted.
    std::chrono::milliseconds headLimit{30000};  // For a request's head, from its first byte.

    // Called for each host path before the container that binds it is created. May be empty.
    std::function<void(const std::filesystem::path& hostPath, Done)> grant;
    // Called with false before a swarm is entered, with true when the engine is in none. May be
    // empty.
    std::function<void(bool enabled, Done)> setLiveRestore;
};

struct ProxyContext {
    Loop& loop;
    ProxyOptions options;
    Records records;
    EngineAvailability engine;
    std::function<void()> containersChanged;  // The engine answered a call that may change them.
    std::function<void()> bindsRemoved;       // It removed services or volumes.
    std::function<void()> swarmChanged;
    // The running container that publishes a TCP port; an empty name if none is known.
    std::function<std::string(std::uint16_t)> containerOnPort;
};

}  // namespace slipway
