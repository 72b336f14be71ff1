#include "linux-vm-agent/agent.h"

#include <csignal>

#include "linux-vm-agent/engine/layout.h"
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
    TRY_VOID(agent->openSockets(std::move(options)));
    agent->m_engine.begin();
    return agent;
}

Agent::Agent(Loop& loop, std::function<void()> ended)
    : m_loop(loop),
      m_ended(std::move(ended)),
      m_terminate(new uv_signal_t{}),
      m_engine(loop, [this] { engineChanged(); }),
      m_parked(loop)
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
    TRY_VOID(m_parked.serveEngine(kDockerSocketInMachine));
    m_control =
        std::make_unique<ControlService>(m_loop, m_engine, *m_ports, [this] { shutdown(); });
    TunnelServices services;
    services.control = [this](Descriptor stream) { m_control->serve(std::move(stream)); };
    services.park = [this](Descriptor stream) { m_parked.park(std::move(stream)); };
    services.share = std::move(options.share);
    TRY(m_tunnel,
        TunnelListener::open(m_loop, options.tunnelSocket, options.token, std::move(services)));
    return {};
}

void Agent::engineChanged()
{
    if (m_ports) m_ports->engineUp(m_engine.up());
    if (m_control) m_control->engineChanged();
}

void Agent::shutdown()
{
    if (std::exchange(m_stopping, true)) return;
    log::info("agent: the machine stops");
    m_engine.shutdown([this] { m_ended(); });
}

}  // namespace slipway
