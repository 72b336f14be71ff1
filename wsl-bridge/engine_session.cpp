#include "wsl-bridge/engine_session.h"

#include <chrono>

#include "shared/core/log.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedial = 50ms;
constexpr std::uint32_t kShareChannels = 1;

}  // namespace

// One FUSE channel: dialled, served until it ends, dialled again.
struct EngineSession::Channel {
    Channel(Loop& loop, std::uint32_t channelNumber) : number(channelNumber), retry(loop) {}

    std::uint32_t number;
    DialingPtr dialing;
    Timer retry;
};

EngineSession::EngineSession(Loop& loop, Parts parts)
    : m_loop(loop),
      m_parts(std::move(parts)),
      m_retry(loop),
      m_parked(loop, m_parts.dialer, m_parts.askedByMachine)
{
    dialControl();
    if (!m_parts.files) return;
    for (std::uint32_t i = 0; i < kShareChannels; ++i)
        dialShare(*m_channels.emplace_back(std::make_unique<Channel>(loop, i)));
}

EngineSession::~EngineSession() = default;

void EngineSession::setLiveRestore(bool enabled, AgentLink::Done done)
{
    if (m_link) return m_link->setLiveRestore(enabled, std::move(done));
    m_loop.post(
        [done = std::move(done), trouble = m_trouble] { done(fail(Code::Unavailable, trouble)); });
}

void EngineSession::usage(AgentLink::UsageDone done)
{
    if (m_link) return m_link->usage(std::move(done));
    m_loop.post(
        [done = std::move(done), trouble = m_trouble] { done(fail(Code::Unavailable, trouble)); });
}

void EngineSession::reconfigure(v1::ConfigureRequest configuration, AgentLink::Done done)
{
    m_parts.configuration = std::move(configuration);
    if (m_link) return configure(std::move(done));
    m_loop.post(
        [done = std::move(done), trouble = m_trouble] { done(fail(Code::Unavailable, trouble)); });
}

void EngineSession::configure(AgentLink::Done done)
{
    auto now = std::chrono::system_clock::now().time_since_epoch();
    m_parts.configuration.set_host_time_unix_ns(
        std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
    m_link->configure(m_parts.configuration, std::move(done));
}

void EngineSession::dialControl()
{
    m_dialing = m_parts.dialer.dialSocket(
        helloControl(), [this](Result<Descriptor> socket) { controlDialed(std::move(socket)); });
}

void EngineSession::controlDialed(Result<Descriptor> socket)
{
    m_dialing.reset();
    m_restated.clear();
    if (!socket) return lost(socket.error());
    m_link = std::make_unique<AgentLink>(
        m_loop, *std::move(socket),
        AgentLink::Listeners{
            .engine =
                [this](const v1::EngineReport& report) {
                    m_report = report;
                    m_parts.changed();
                },
            .port = [this](const v1::PortRequest& request) { portRequested(request); },
            .lost = [this](const Error& error) { lost(error); },
        });
    configure([](Result<> done) {
        if (!done) log::warn("session: configure the engine: {}", done.error().message);
    });
    if (!m_trouble.empty()) log::info("session: the agent answers");
    m_trouble.clear();
    m_parts.changed();
}

void EngineSession::lost(const Error& error)
{
    if (m_trouble.empty()) log::warn("session: the agent has gone: {}", error.message);
    m_trouble = "the agent does not answer: " + error.message;
    m_link.reset();
    m_report.Clear();
    m_retry.after(kRedial, [this] { dialControl(); });
    m_parts.changed();
}

void EngineSession::portRequested(const v1::PortRequest& request)
{
    if (request.has_all_restated()) return dropEnded();
    if (request.has_withdrawal()) {
        m_leases.erase(request.lease());
        return m_parts.ports.withdraw(request.lease());
    }
    m_leases.insert(request.lease());
    m_restated.insert(request.lease());
    m_parts.ports.claim(request.lease(), request.claim(), request.restated(),
                        m_alive.wrap([this](const v1::PortDecision& decision) {
                            if (m_link) m_link->answerPort(decision);
                        }));
}

// What ended while the agent was away.
void EngineSession::dropEnded()
{
    for (std::uint64_t lease : m_leases)
        if (!m_restated.contains(lease)) m_parts.ports.withdraw(lease);
    m_leases = m_restated;
}

void EngineSession::shareEnded(std::uint32_t channel)
{
    if (channel < m_channels.size()) dialShareLater(*m_channels[channel]);
}

void EngineSession::dialShare(Channel& channel)
{
    channel.dialing = m_parts.dialer.dialSocket(
        helloShare(channel.number), [this, &channel](Result<Descriptor> socket) {
            Result<> attached = socket ? m_parts.files->attach(channel.number, *std::move(socket))
                                       : tl::unexpected(socket.error());
            if (!attached) return dialShareLater(channel);
            channel.dialing.reset();
        });
}

void EngineSession::dialShareLater(Channel& channel)
{
    channel.dialing.reset();
    channel.retry.after(kRedial, [this, &channel] { dialShare(channel); });
}

}  // namespace slipway
