#include "wsl-bridge/bridge.h"

#include <cstdlib>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/paths/docker_context.h"
#include "wsl-bridge/host_subnets.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto kStartPatience = 90s;  // A first dockerd start on a slow disk takes its time.
constexpr auto kStopDeadline = 20s;
constexpr auto kRevivalPause = 500ms;
constexpr auto kDeathWindow = 5min;
constexpr std::size_t kDeathsAllowed = 3;

// The archive that packaging/rootfs made lies beside the build folder whose programs run. Only a
// start needs it to be there.
fs::path rootfsOf(const Settings& settings, const fs::path& binDir)
{
    if (!settings.rootfs.empty()) return settings.rootfs;
    if (const char* set = std::getenv("SLIPWAY_ROOTFS"); set && *set) return set;
    return binDir.parent_path().parent_path() / "rootfs" / "root.tar.zst";
}

}  // namespace

Result<std::unique_ptr<Bridge>> Bridge::create(Loop& loop, Options options)
{
    auto rootfs = rootfsOf(options.settings.value, options.binDir);
    std::unique_ptr<Bridge> bridge(new Bridge(loop, std::move(options)));
    bridge->m_machine = sandboxMachine(
        loop,
        {.home = bridge->m_options.home, .binDir = bridge->m_options.binDir, .rootfs = rootfs});
    bridge->m_machine->onDeath([raw = bridge.get()] { raw->machineDied(); });
    TRY_VOID(bridge->listen());
    return bridge;
}

Bridge::Bridge(Loop& loop, Options options)
    : m_loop(loop),
      m_options(std::move(options)),
      m_patience(loop),
      m_revival(loop),
      m_remeasure(loop)
{
}

Bridge::~Bridge()
{
    closeSession();
}

Result<> Bridge::listen()
{
    auto grant = [this](const fs::path& path, std::function<void(Result<>)> done) {
        Result<> granted = m_files ? m_files->grant(path) : Result<>{};
        m_loop.post([done = std::move(done), granted = std::move(granted)] { done(granted); });
    };
    auto setLiveRestore = [this](bool enabled, std::function<void(Result<>)> done) {
        if (m_session) return m_session->setLiveRestore(enabled, std::move(done));
        m_loop.post([done = std::move(done)] { done(fail(Code::Unavailable, "no engine runs")); });
    };
    TRY(m_endpoint, Endpoint::listen(m_loop, {.user = m_options.user,
                                              .endpointSocket = m_options.home.endpointSocket(),
                                              .recordsDir = m_options.home.endpointDir(),
                                              .grant = grant,
                                              .setLiveRestore = setLiveRestore}));
    m_endpoint->containers().changed = [this] {
        if (m_ports) m_ports->learnNames();
        publish();
    };
    offerEngine();
    return {};
}

// --- Operations.

void Bridge::adopt()
{
    m_machine->adopt([this](Result<> adopted) {
        if (!adopted) {
            if (adopted.error().code != Code::NotFound)
                log::warn("bridge: adopt the machine: {}", adopted.error().message);
            return;
        }
        log::info("bridge: took over the machine that runs already");
        enter(v1::CONDITION_STARTING, "taking over the running machine");
        machineUp({});
    });
}

void Bridge::start(Done done)
{
    if (m_condition == v1::CONDITION_RUNNING) {
        m_loop.post([done = std::move(done)] { done({}); });
        return;
    }
    if (m_condition == v1::CONDITION_STOPPING) {
        m_loop.post([done = std::move(done)] {
            done(fail(Code::FailedPrecondition,
                      "the engine is just stopping; try again in a moment"));
        });
        return;
    }
    m_waiting.push_back(std::move(done));
    m_patience.after(kStartPatience, [this] {
        settle(fail(Code::DeadlineExceeded,
                    fmt::format("the engine does not run after {} s: {}; see slipway logs engine",
                                kStartPatience.count(), m_reason)));
    });
    if (m_machine->state() != Machine::State::Stopped) return;  // On its way already.
    m_revival.stop();
    enter(v1::CONDITION_STARTING, "starting the machine");
    m_machine->start(
        m_options.settings.value.files,
        [this](const std::string& step) {
            if (m_condition == v1::CONDITION_STARTING) enter(v1::CONDITION_STARTING, step);
        },
        [this](Result<> started) { machineUp(std::move(started)); });
}

void Bridge::stop(Done done)
{
    settle(fail(Code::Cancelled, "the engine was told to stop"));
    m_revival.stop();
    if (m_condition == v1::CONDITION_STOPPING || m_machine->state() == Machine::State::Stopping) {
        m_loop.post([done = std::move(done)] {
            done(fail(Code::FailedPrecondition, "the engine is stopping already"));
        });
        return;
    }
    enter(v1::CONDITION_STOPPING, "stopping the engine");
    stopMachine([this, done = std::move(done)](Result<> stopped) {
        if (stopped)
            enter(v1::CONDITION_STOPPED);
        else
            enter(v1::CONDITION_TROUBLE, stopped.error().message);
        done(std::move(stopped));
    });
}

void Bridge::stopMachine(Done done)
{
    m_machine->stop(kStopDeadline, [this, done = std::move(done)](Result<> stopped) {
        closeSession();
        std::string name = m_options.home.instanceName();
        if (currentContext(m_options.user) !=
            name) {  // A current one stays: without it docker would fail.
            auto removed = removeContext(m_options.user, name, endpointUrl());
            if (!removed) log::warn("bridge: {}", removed.error().message);
        }
        done(std::move(stopped));
    });
}

void Bridge::restart(Done done)
{
    stop([this, done = std::move(done)](Result<> stopped) {
        if (!stopped) return done(std::move(stopped));
        start(done);
    });
}

void Bridge::reset(Done done)
{
    stop([this, done = std::move(done)](Result<> stopped) {
        if (!stopped) return done(std::move(stopped));
        m_machine->remove([this, done](Result<> removed) {
            if (!removed) return done(std::move(removed));
            done(forgetContainers());
        });
    });
}

// What is kept outside the machine about its containers: how their binds were spelled, and which
// host folders the machine may see because of them.
Result<> Bridge::forgetContainers()
{
    m_endpoint->forgetContainers();
    m_files.reset();
    std::error_code failed;
    fs::remove_all(m_options.home.filesDir(), failed);
    if (!failed) return {};
    return failErrno(fmt::format("remove {}", m_options.home.filesDir().string()), failed.value());
}

void Bridge::quit(bool stopEngine, Done done)
{
    auto end = [this, done = std::move(done)](Result<> result) {
        done(std::move(result));
        m_loop.post([this] { m_options.ended(); });
    };
    if (stopEngine)
        stop(end);
    else
        end({});
}

// --- What happens.

void Bridge::machineUp(Result<> started)
{
    if (!started && m_condition == v1::CONDITION_STOPPING) return;  // It was told to.
    if (!started) {
        log::error("bridge: start the machine: {}", started.error().message);
        enter(v1::CONDITION_TROUBLE, started.error().message);
        return settle(std::move(started));
    }
    enter(v1::CONDITION_STARTING, "starting the engine");
    openSession();
    auto made = makeContext(m_options.user, m_options.home.instanceName(), endpointUrl());
    if (!made) log::warn("bridge: {}", made.error().message);
}

void Bridge::machineDied()
{
    log::error("bridge: the machine has ended by itself");
    closeSession();
    enter(v1::CONDITION_TROUBLE, "the machine has ended by itself; see slipway logs agent");
    settle(fail(Code::Aborted, m_reason));
    auto now = Clock::now();
    m_deaths.push_back(now);
    while (now - m_deaths.front() > kDeathWindow) m_deaths.pop_front();
    if (m_deaths.size() > kDeathsAllowed) {
        enter(v1::CONDITION_TROUBLE,
              fmt::format(
                  "the machine has ended {} times in {} minutes and is not started again; see "
                  "slipway logs agent, then slipway start",
                  m_deaths.size(), kDeathWindow.count()));
        return;
    }
    m_revival.after(kRevivalPause, [this] { start([](Result<>) {}); });
}

void Bridge::openSession()
{
    MachineFacts facts = m_machine->facts();
    Dialer& dialer = m_machine->dialer();
    if (facts.files == FilesMode::Direct) m_files.reset();
    if (facts.files == FilesMode::Fuse && !m_files) serveFiles();
    m_client = std::make_unique<EngineClient>(m_loop, dialer);
    m_ports = std::make_unique<PortTable>(
        m_loop, dialer,
        PortTable::Options{.defaultAddress = m_options.settings.value.publish == PublishAddress::All
                                                 ? DefaultAddress::All
                                                 : DefaultAddress::Loopback,
                           .nameOf =
                               [this](const std::string& address, PortTable::NameDone done) {
                                   m_endpoint->containers().nameOf(address, std::move(done));
                               },
                           .changed = [this] { publish(); }});
    m_session = std::make_unique<EngineSession>(
        m_loop,
        EngineSession::Parts{
            .dialer = dialer,
            .ports = *m_ports,
            .files = m_files.get(),
            .toEndpoint = [this](StreamPtr client) { m_endpoint->serve(std::move(client)); },
            .configuration = configuration(),
            .changed = [this] { engineChanged(); }});
}

void Bridge::serveFiles()
{
    auto ended = m_alive.wrap([this](std::uint32_t channel) {
        if (m_session) m_session->shareEnded(channel);
    });
    auto served = startFileServer({.stateDir = m_options.home.filesDir(),
                                   .ended = [&loop = m_loop, ended](std::uint32_t channel) {
                                       loop.post([ended, channel]() mutable { ended(channel); });
                                   }});
    if (served)
        m_files = *std::move(served);
    else
        m_options.settings.complaints.push_back(
            fmt::format("host folders are not served: {}", served.error().message));
}

void Bridge::closeSession()
{
    m_questions.clear();
    m_measuring = 0;
    m_session.reset();
    if (m_files) m_files->detach();
    m_ports.reset();
    if (m_endpoint) m_endpoint->setEngine({});
    m_client.reset();
}

v1::ConfigureRequest Bridge::configuration() const
{
    MachineFacts facts = m_machine->facts();
    v1::ConfigureRequest request;
    request.set_daemon_json(m_options.daemonJson.value);
    for (const std::string& subnet : hostSubnets()) request.add_host_subnets(subnet);
    request.set_rootless(facts.rootless);
    request.set_cgroups_writable(facts.cgroupsWritable);
    return request;
}

void Bridge::engineChanged()
{
    if (m_machine->state() != Machine::State::Running || !m_session) return;
    const v1::EngineReport& report = m_session->report();
    bool runs = m_session->linked() && report.condition() == v1::EngineReport::CONDITION_RUNNING;
    if (runs) {
        enter(v1::CONDITION_RUNNING);
        return settle({});
    }
    std::string why = m_session->linked() ? report.reason() : m_session->trouble();
    if (m_condition == v1::CONDITION_RUNNING || m_condition == v1::CONDITION_TROUBLE)
        enter(v1::CONDITION_TROUBLE, why.empty() ? "the engine does not answer" : why);
    else
        enter(v1::CONDITION_STARTING, why.empty() ? "starting the engine" : why);
}

void Bridge::enter(v1::Condition condition, const std::string& reason)
{
    if (condition != m_condition) {
        m_since = Clock::now();
        log::info("bridge: {} -> {}{}{}", v1::Condition_Name(m_condition),
                  v1::Condition_Name(condition), reason.empty() ? "" : ": ", reason);
    }
    m_condition = condition;
    m_reason = reason;
    offerEngine();
    publish();
}

void Bridge::offerEngine()
{
    if (m_condition == v1::CONDITION_RUNNING) {
        m_endpoint->setEngine({.dialer = &m_machine->dialer()});
        return;
    }
    bool comes = m_condition == v1::CONDITION_STARTING || m_condition == v1::CONDITION_TROUBLE;
    std::string reason = m_condition == v1::CONDITION_STOPPED
                             ? std::string("the engine is stopped; start it with: slipway start")
                             : m_reason;
    m_endpoint->setEngine({.starting = comes, .reason = reason});
}

void Bridge::settle(Result<> outcome)
{
    m_patience.stop();
    auto waiting = std::exchange(m_waiting, {});
    for (Done& done : waiting) done(outcome);
}

}  // namespace slipway
