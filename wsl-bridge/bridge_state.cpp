// What the bridge tells of itself: measured when somebody begins to watch, then every few seconds
// for as long as somebody does, and sent anew after each change. Nobody watching costs nothing.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "shared/core/version.h"
#include "shared/process/process_facts.h"
#include "wsl-bridge/bridge.h"
#include "wsl-bridge/engine/disk_usage.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr auto kRemeasure = 5s;
// The engine walks volumes and containers' layers for it. So it is asked when somebody begins to
// watch, not every few seconds after that; where that takes longer than this, no figure is told.
constexpr auto kDiskPatience = 2s;
constexpr auto kDiskPause = 1min;

std::int64_t unixMs(std::chrono::system_clock::time_point time)
{
    return duration_cast<milliseconds>(time.time_since_epoch()).count();
}

void addWarning(v1::State& state, std::string text, std::string remedy)
{
    auto* warning = state.add_warnings();
    warning->set_text(std::move(text));
    warning->set_remedy(std::move(remedy));
}

}  // namespace

Bridge::Subscription Bridge::watch(Watch watch)
{
    auto subscription = std::make_shared<Watch>(std::move(watch));
    m_newWatches.push_back(subscription);
    measure();
    return subscription;
}

void Bridge::measure()
{
    if (m_measuring) return;
    bool runs = m_lifecycle.condition() == v1::CONDITION_RUNNING && m_session && m_client;
    m_measuring = runs ? 3 : 2;
    auto one = m_alive.wrap([this, round = ++m_round] { measured(round); });
    m_engines->look(one);
    if (!runs) return m_loop.post(one);
    m_questions.push_back(
        m_client->ping([this, one](Result<std::chrono::microseconds> took) mutable {
            if (took) {
                m_pingTook = *took;
                m_pingedAt = Clock::now();
            }
            m_loop.post(one);  // The question may not be destroyed from within.
        }));
    if (!m_newWatches.empty() && Clock::now() >= m_diskNotBefore) {
        ++m_measuring;
        m_questions.push_back(m_client->get(
            "/system/df",
            [this, one](Result<std::string> answer) mutable {
                auto bytes = answer ? diskBytesOf(*answer) : tl::unexpected(answer.error());
                m_diskBytes = bytes.value_or(0);
                if (!bytes) m_diskNotBefore = Clock::now() + kDiskPause;
                m_loop.post(one);
            },
            kDiskPatience));
    }
    m_session->usage([this, one](Result<v1::GetUsageResponse> usage) mutable {
        if (usage) m_usage = *std::move(usage);
        one();
    });
    m_engines->machine().containers().refresh();
}

void Bridge::measured(unsigned round)
{
    if (round != m_round || --m_measuring > 0) return;
    m_questions.clear();
    for (auto& watch : std::exchange(m_newWatches, {})) m_watches.push_back(std::move(watch));
    publish();
    std::erase_if(m_watches, [](const auto& watch) { return watch.expired(); });
    if (m_watches.empty()) return m_remeasure.stop();
    m_remeasure.after(kRemeasure, [this] { measure(); });
}

// Nobody is left to answer: whoever waits is told what is known without.
void Bridge::abandonMeasuring()
{
    m_questions.clear();
    if (std::exchange(m_measuring, 0)) measure();
}

void Bridge::publish()
{
    if (m_watches.empty()) return;
    v1::State now = state();
    for (const auto& watch : m_watches)
        if (auto alive = watch.lock()) (*alive)(now);
}

void Bridge::publishSoon()
{
    if (std::exchange(m_publishing, true)) return;
    m_loop.post(m_alive.wrap([this] {
        m_publishing = false;
        publish();
    }));
}

v1::State Bridge::state() const
{
    v1::State state;
    state.set_condition(m_lifecycle.condition());
    state.set_reason(m_lifecycle.reason());
    state.set_since_unix_ms(unixMs(m_lifecycle.since()));
    state.set_version(std::string(version()));
    state.set_home(m_options.home.root.string());
    state.mutable_endpoint()->set_url(m_options.home.endpointUrl());
    state.mutable_endpoint()->set_context(m_options.home.instanceName());
    addEngine(state);
    addEngines(state);
    addTcp(state);
    addMachine(state);
    addFolders(state);
    addPorts(state);
    addProcesses(state);
    addWarnings(state);
    return state;
}

void Bridge::addEngine(v1::State& state) const
{
    if (!m_session) return;
    const v1::EngineReport& report = m_session->report();
    auto* engine = state.mutable_engine();
    engine->set_version(report.version());
    engine->set_api_version(report.api_version());
    engine->set_storage_driver(report.storage_driver());
    engine->set_ping_us(static_cast<std::uint32_t>(m_pingTook.count()));
    if (m_pingedAt != Clock::time_point{}) engine->set_pinged_unix_ms(unixMs(m_pingedAt));
    engine->set_containers_running(
        static_cast<std::uint32_t>(m_engines->machine().containers().running()));
}

void Bridge::addEngines(v1::State& state) const
{
    auto* own = state.add_engines();
    own->set_name(std::string(name(EngineName::Linux)));
    own->set_in_use(m_engines->inUse() == EngineName::Linux);
    own->set_address("the machine's");
    own->set_context(m_options.home.endpoints().ofLinux.context);
    own->set_version(state.engine().version());
    if (m_lifecycle.condition() != v1::CONDITION_RUNNING)
        own->set_trouble(m_lifecycle.reason().empty() ? "stopped" : m_lifecycle.reason());
    if (!m_engines->windows()) return;
    auto* windows = state.add_engines();
    windows->set_name(std::string(name(EngineName::Windows)));
    windows->set_in_use(m_engines->inUse() == EngineName::Windows);
    windows->set_address(m_engines->windows()->host);
    windows->set_tls_folder(m_engines->windows()->tlsDir.string());
    windows->set_context(m_options.home.endpoints().ofWindows.context);
    windows->set_version(m_engines->reach().version.engine);
    windows->set_trouble(m_engines->reach().trouble);
    if (m_engines->windowsIsInTheOpen())
        addWarning(state,
                   fmt::format("the Windows engine at {} is reached in the open: whoever is on the "
                               "way can read along and command it",
                               windows->address()),
                   "give its dockerd certificates, then: slipway engine add windows "
                   "tcp://HOST:2376 --tls FOLDER");
    if (!windows->in_use() || windows->trouble().empty()) return;
    addWarning(state, "the Windows engine is in use and does not answer: " + windows->trouble(),
               "mend that, or: slipway engine use linux");
    if (state.condition() != v1::CONDITION_RUNNING) return;
    state.set_condition(v1::CONDITION_DEGRADED);
    state.set_reason("the Windows engine does not answer");
}

void Bridge::addTcp(v1::State& state) const
{
    if (!m_tcpSettings) return;
    auto* endpoint = state.mutable_endpoint();
    endpoint->set_tcp_url(toText(*m_tcpSettings));
    endpoint->set_tcp_tls(m_tcpSettings->tls);
    endpoint->set_tcp_trouble(m_tcpTrouble);
    if (!m_tcpTrouble.empty())
        addWarning(state,
                   fmt::format("the endpoint does not listen on {}: {}", endpoint->tcp_url(),
                               m_tcpTrouble),
                   "free that port and slipway restart, or: slipway endpoint tcp --help");
    else if (!m_tcpSettings->tls)
        addWarning(state,
                   fmt::format("{} has no TLS: every user and every program of this host can "
                               "command the engine, and web pages that they open may try",
                               endpoint->tcp_url()),
                   "slipway endpoint tcp tls, or: slipway endpoint tcp off");
}

void Bridge::addMachine(v1::State& state) const
{
    MachineFacts facts = m_machine->facts();
    auto* machine = state.mutable_machine();
    machine->set_kind(facts.kind);
    if (!facts.pid) return;
    machine->set_user(facts.rootless ? "rootless" : "root");
    machine->set_cgroup_version(static_cast<std::uint32_t>(facts.cgroupVersion));
    machine->set_subnet(facts.subnet);
    bool byHost = egress() == EgressMode::Host && facts.network != "none";
    machine->set_network(byHost ? std::string(name(EgressMode::Host)) : facts.network);
    machine->set_pid(static_cast<std::uint32_t>(facts.pid));
    machine->set_memory_bytes(facts.memoryBytes);
    machine->set_disk_bytes(m_diskBytes);
    if (m_names) machine->set_nameserver(m_names->firstServer());
}

void Bridge::addFolders(v1::State& state) const
{
    if (m_machine->state() != Machine::State::Running) return;
    auto* files = state.mutable_files();
    FilesMode asked = m_settings.files;
    FilesMode used = m_machine->facts().files;
    files->set_mode(std::string(name(used)));
    if (used != asked)
        files->set_note(
            fmt::format("the machine was started with {}; the setting {} holds from the "
                        "next slipway restart",
                        name(used), name(asked)));
    FilesMode other = used == FilesMode::Direct ? FilesMode::Fuse : FilesMode::Direct;
    files->set_other_mode(std::string(name(other)));
    if (other == FilesMode::Fuse)
        if (auto fuse = fuseCanBeHad(); !fuse) files->set_other_refusal(fuse.error().message);
    if (m_files) {
        FileServerStatistics served = m_files->statistics();
        files->set_requests(served.messages);
        files->set_notices(served.notices);
        files->set_known(served.nodes);
    }
    for (const auto& [path, containers] : m_engines->machine().containers().folders()) {
        auto* folder = files->add_folders();
        folder->set_host_path(path);
        for (const std::string& container : containers) folder->add_containers(container);
    }
}

void Bridge::addPorts(v1::State& state) const
{
    if (!m_ports) return;
    for (const PortTable::Entry& entry : m_ports->list()) {
        auto* port = state.add_ports();
        port->set_protocol(entry.claim.protocol());
        port->set_host_address(entry.hostAddress);
        port->set_host_port(entry.claim.host_port());
        port->set_container(entry.container);
        port->set_container_port(entry.claim.container_port());
        port->set_since_unix_ms(unixMs(entry.since));
        port->set_bytes(entry.bytes);
        port->set_refusal(entry.refusal);
        if (entry.refusal.empty()) continue;
        bool named = entry.container != entry.claim.container_address() &&
                     !entry.claim.listener().starts_with("service ");
        port->set_remedy(
            named ? fmt::format("{}, then: docker restart {}", entry.remedy, entry.container)
                  : entry.remedy);
        addWarning(state,
                   fmt::format("port {} of {} is not published: {}", entry.claim.host_port(),
                               entry.container, entry.refusal),
                   port->remedy());
        if (state.condition() != v1::CONDITION_RUNNING) continue;
        state.set_condition(v1::CONDITION_DEGRADED);
        state.set_reason(fmt::format("port {} of {} is not published", entry.claim.host_port(),
                                     entry.container));
    }
}

void Bridge::addProcesses(v1::State& state) const
{
    auto* bridge = state.add_processes();
    bridge->set_name("slipway-bridge");
    bridge->set_pid(static_cast<std::uint32_t>(uv_os_getpid()));
    bridge->set_pss_bytes(pssBytesOf(::getpid()));
    if (!m_session) return;
    for (const auto& process : m_usage.processes()) {
        auto* listed = state.add_processes();
        listed->set_name(process.name());
        listed->set_pid(process.pid());
        listed->set_pss_bytes(process.pss_bytes());
    }
}

void Bridge::addWarnings(v1::State& state) const
{
    for (const Complaint& complaint : m_complaints)
        addWarning(state, complaint.text, complaint.remedy);
    for (const MachineNote& note : m_machine->facts().notes)
        addWarning(state, note.text, note.remedy);
    if (!m_session) return;
    for (const auto& note : m_session->report().notes())
        addWarning(state, note.text(), note.remedy());
}

}  // namespace slipway
