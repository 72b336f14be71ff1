// One engine as the proxies that lead to it see it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shared/io/loop.h"
#include "shared/paths/home.h"
#include "wsl-bridge/engine/bind_records.h"
#include "wsl-bridge/engine/engine_presence.h"
#include "wsl-bridge/engine/idle_connections.h"

namespace slipway {

struct ProxyOptions {
    using Done = std::function<void(Result<>)>;

    User user;                       // Whose the socket, and the folders that binds create, are.
    std::string platform = "linux";  // Of the containers that it runs.
    // Whether paths of the host mean other paths to the engine: those of the machine.
    bool mapsPaths = true;
    std::vector<std::filesystem::path> endpointSockets;  // As a bind's source: the machine's own.
    std::filesystem::path recordsDir;                    // Of the spellings of host paths.
    std::chrono::milliseconds wait{10000};  // For an engine that starts, or is being restarted.
    std::chrono::milliseconds headLimit{30000};  // For a request's head, from its first byte.

    // Called for each host path before the container that binds it is created. May be empty.
    std::function<void(const std::filesystem::path& hostPath, Done)> grant;
    // Called with false before a swarm is entered, with true when the engine is in none. May be
    // empty.
    std::function<void(bool enabled, Done)> setLiveRestore;
};

struct ProxyContext {
    ProxyContext(Loop& itsLoop, ProxyOptions itsOptions)
        : loop(itsLoop), options(std::move(itsOptions)), records(options.recordsDir), idle(itsLoop)
    {
    }

    Loop& loop;
    ProxyOptions options;
    Records records;
    EnginePresence engine;
    IdleConnections idle;
    std::function<void()> containersChanged;  // The engine answered a call that may change them.
    std::function<void()> bindsRemoved;       // It removed services or volumes.
    std::function<void()> swarmChanged;
    // The running container that publishes a TCP port; an empty name if none is known.
    std::function<std::string(std::uint16_t)> containerOnPort;
    // What to do about an image for another platform. May be empty.
    std::function<std::string()> hint;
};

// The engine that the next request goes to.
using ChooseEngine = std::function<std::shared_ptr<ProxyContext>()>;

}  // namespace slipway
