// The agent's object graph, and its end.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "linux-vm-agent/control_service.h"
#include "linux-vm-agent/engine/engine.h"
#include "linux-vm-agent/dial_out/docker_socket.h"
#include "linux-vm-agent/dial_out/uplink.h"
#include "linux-vm-agent/ports/host_listeners.h"
#include "linux-vm-agent/ports/port_claims.h"
#include "linux-vm-agent/tunnel_listener.h"
#include "shared/io/loop.h"
#include "shared/tunnel/handshake.h"

namespace slipway {

class Agent {
public:
    struct Options {
        std::filesystem::path tunnelSocket;
        Token token;
        std::function<void(std::uint32_t channel, Descriptor)> share;  // Empty: no file relay.
        std::optional<Subnet> network;  // The machine's. None: it has no uplink.
    };
    // `ended` once the machine may be powered off.
    static Result<std::unique_ptr<Agent>> open(Loop& loop, Options options,
                                               std::function<void()> ended);

private:
    Agent(Loop& loop, std::function<void()> ended);
    Result<> openSockets(Options options);
    void openUplink(const Subnet& network);
    Result<> configure(const v1::ConfigureRequest& request);
    void engineChanged();
    void shutdown();

    Loop& m_loop;
    std::function<void()> m_ended;
    bool m_stopping = false;
    UvHandle<uv_signal_t> m_terminate;
    Engine m_engine;
    std::unique_ptr<PortClaims> m_ports;
    HostListeners m_listeners;
    UnproxiedWatch m_unproxied;
    std::unique_ptr<ControlService> m_control;
    ParkedStreams m_parked;
    OutboundClients m_outbound;
    std::unique_ptr<UnixAcceptor> m_dockerSocket;
    std::unique_ptr<Uplink> m_uplink;  // Null: the machine has none.
    std::unique_ptr<TunnelListener> m_tunnel;
};

}  // namespace slipway
