#include "linux-vm-agent/agent.h"

#include <csignal>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "linux-vm-agent/engine/nat.h"
#include "shared/core/log.h"
#include "shared/paths/host_path.h"

namespace slipway {
namespace {

constexpr const char* kStandingClaims = "/run/slipway/ports";

}  // namespace

Result<std::unique_ptr<Agent>> Agent::open(Loop& loop, Options options, std::function<void()> ended)
{
    std::error_code failed;
    std::filesystem::create_directories(kRunDir, failed);
    std::unique_ptr<Agent> agent(new Agent(loop, std::move(ended)));
    auto network = options.network;
    TRY_VOID(agent->openSockets(std::move(options)));
    agent->m_engine.begin();
    if (network) agent->openUplink(*network);
    return agent;
}

Agent::Agent(Loop& loop, std::function<void()> ended)
    : m_loop(loop),
      m_ended(std::move(ended)),
      m_terminate(new uv_signal_t{}),
      m_engine(loop, [this] { engineChanged(); }),
      m_listeners(loop,
                  [this](const std::vector<ClaimedPort>& ports) { m_ports->keepListeners(ports); }),
      m_unproxied(loop, [this](const Unproxied& unproxied) { m_listeners.set(unproxied); }),
      m_parked(loop),
      m_outbound(loop, m_parked)
{
    CHECK(uv_signal_init(loop.uv(), m_terminate.get()) == 0);
    m_terminate->data = this;
    uv_signal_start(
        m_terminate.get(),
        [](uv_signal_t* handle, int) {
            if (handle->data) static_cast<Agent*>(handle->data)->shutdown();
        },
        SIGTERM);
}

// The tunnel last: whoever comes by it finds everything there.
Result<> Agent::openSockets(Options options)
{
    TRY(m_ports, PortClaims::open(m_loop, {kPortsSocket, kStandingClaims, checkIsPortProxy}));
    TRY(m_dockerSocket, serveDockerSocket(m_loop, m_outbound, kDockerSocketInMachine));
    m_control = std::make_unique<ControlService>(
        m_loop, m_engine, *m_ports,
        ControlService::Hooks{
            .configure = [this](const v1::ConfigureRequest& request) { return configure(request); },
            .shutdown = [this] { shutdown(); }});
    TunnelServices services;
    services.control = [this](Descriptor stream) { m_control->serve(std::move(stream)); };
    services.isPublished = [this](std::string_view protocol, const std::string& address,
                                  std::uint16_t port) {
        return m_ports->publishes(protocol, address, port);
    };
    services.park = [this](Descriptor stream, bool takesSockets) {
        m_parked.park(std::move(stream), takesSockets);
    };
    services.share = std::move(options.share);
    TRY(m_tunnel,
        TunnelListener::open(m_loop, options.tunnelSocket, options.token, std::move(services)));
    return {};
}

// While containerd starts, as it takes a while; dockerd, which is to know of it, comes after that.
void Agent::openUplink(const Subnet& network)
{
    auto opened = Uplink::open(m_loop, m_parked, m_outbound, network);
    if (opened) m_uplink = *std::move(opened);
    const std::string& trouble = opened ? m_uplink->trouble() : opened.error().message;
    if (trouble.empty()) return m_engine.setNetwork(m_uplink->host(), {});
    log::warn("agent: uplink: {}", trouble);
    m_engine.setNetwork(
        defaultGateway(),
        {{fmt::format("services of the host are not reached by host.docker.internal{}: {}",
                      opened ? "" : ", and containers resolve no names", trouble),
          "the kernel needs veth and nft_tproxy; load them, then run `slipway restart`"}});
}

Result<> Agent::configure(const v1::ConfigureRequest& request)
{
    TRY_VOID(m_engine.configure(request));
    if (m_uplink) return m_uplink->carryEverything(request.egress_by_host());
    if (!request.egress_by_host()) return {};
    return fail(Code::FailedPrecondition, "the machine has no uplink; see slipway status");
}

void Agent::engineChanged()
{
    if (m_ports) m_ports->engineUp(m_engine.up());
    // dockerd would wait for its stream of events to end.
    m_unproxied.engineUp(m_engine.up() && !m_stopping);
    if (m_control) m_control->engineChanged();
}

void Agent::shutdown()
{
    if (std::exchange(m_stopping, true)) return;
    log::info("agent: the machine stops");
    m_unproxied.engineUp(false);
    m_engine.shutdown([this] { m_ended(); });
}

}  // namespace slipway
