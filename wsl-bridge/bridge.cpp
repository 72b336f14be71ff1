#include "wsl-bridge/bridge.h"

#include <cstdlib>
#include <tuple>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/net/uplink.h"
#include "shared/paths/docker_context.h"
#include "shared/tunnel/multiplexed_dialer.h"
#include "wsl-bridge/egress/host_proxies.h"
#include "wsl-bridge/host_subnets.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kFailedStarts = 3;  // In a row: after the first, a bad daemon.json is left.

// The archive that packaging/rootfs made lies beside the build folder whose programs run.
Result<fs::path> rootfsOf(const Settings& settings, const fs::path& binDir)
{
    fs::path rootfs = settings.rootfs;
    if (const char* set = std::getenv("SLIPWAY_ROOTFS"); rootfs.empty() && set) rootfs = set;
    if (rootfs.empty()) rootfs = binDir.parent_path().parent_path() / "rootfs" / "root.tar.zst";
    std::error_code ignored;
    if (!fs::exists(rootfs, ignored))
        return fail(Code::NotFound,
                    fmt::format("the machine's root file system {} is not there; make it with "
                                "packaging/rootfs/build",
                                rootfs.string()));
    return rootfs;
}

}  // namespace

Result<std::unique_ptr<Bridge>> Bridge::create(Loop& loop, Options options)
{
    std::unique_ptr<Bridge> bridge(new Bridge(loop, std::move(options)));
    TRY_VOID(bridge->listen());
    return bridge;
}

Bridge::Bridge(Loop& loop, Options options)
    : m_loop(loop),
      m_options(std::move(options)),
      m_machine(sandboxMachine(loop, {.home = m_options.home, .binDir = m_options.binDir})),
      m_lifecycle(loop, {.machine = *m_machine,
                         .prepare = [this] { return prepare(); },
                         .up = [this](bool adopted) { machineUp(adopted); },
                         .down = [this] { machineDown(); },
                         .forget = [this] { return forgetContainers(); },
                         .changed = [this] { conditionChanged(); }}),
      m_remeasure(loop)
{
}

Bridge::~Bridge()
{
    machineDown();
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
    TRY(m_engines, Engines::listen(m_loop, {.home = m_options.home,
                                            .user = m_options.user,
                                            .grant = grant,
                                            .setLiveRestore = setLiveRestore,
                                            .changed = [this] { enginesChanged(); }}));
    m_engines->machine().containers().changed = [this] {
        if (m_ports) m_ports->learnNames();
        publish();
    };
    // What is wrong with it is told when the machine is started or taken over.
    Settings settings = peekSettings(m_options.home.settingsFile());
    std::ignore = m_engines->configure(settings);
    listenTcp(settings.tcp);
    offerEngine();
    return {};
}

void Bridge::quit(bool stopEngine, Done done)
{
    m_lifecycle.quit(stopEngine, [this, stopEngine, done = std::move(done)](Result<> result) {
        if (stopEngine && result) keepContexts(true);
        done(std::move(result));
        m_loop.post([this] { m_options.ended(); });
    });
}

// --- The machine comes and goes.

Result<MachineSetup> Bridge::prepare()
{
    readSettings();
    TRY(auto rootfs, rootfsOf(m_settings, m_options.binDir));
    return MachineSetup{m_settings.files, rootfs, m_settings.egress};
}

void Bridge::readSettings()
{
    auto settings = loadSettings(m_options.home.settingsFile());
    auto daemonJson = loadDaemonJson(m_options.home.daemonJson());
    m_settings = settings.value;
    m_daemonJson = daemonJson.value;
    m_complaints = settings.complaints;
    m_complaints.insert(m_complaints.end(), daemonJson.complaints.begin(),
                        daemonJson.complaints.end());
    listenTcp(m_settings.tcp);
    if (auto configured = m_engines->configure(m_settings); !configured)
        m_complaints.push_back(
            {fmt::format("the Windows engine can't be used: {}", configured.error().message),
             "slipway engine add --help"});
    for (const Complaint& complaint : m_complaints) log::warn("bridge: {}", complaint.text);
}

void Bridge::machineUp(bool adopted)
{
    if (adopted) readSettings();
    if (m_machine->facts().files == FilesMode::Fuse)
        serveFiles();
    else
        m_files.reset();
    openSession();
    keepContexts(false);
}

void Bridge::openSession()
{
    m_machine->dialer().takeSockets(m_settings.streams == StreamsMode::Handed);
    if (m_settings.streams == StreamsMode::Multiplexed)
        m_multiplexed = multiplexedDialer(m_loop, m_machine->dialer());
    Dialer& dialer = this->dialer();
    m_client = std::make_unique<EngineClient>(m_loop, engineBehind(dialer));
    m_ports = std::make_unique<PortTable>(
        m_loop, dialer,
        PortTable::Options{
            .defaultAddress = m_settings.publish == PublishAddress::All ? DefaultAddress::All
                                                                        : DefaultAddress::Loopback,
            .namesAddress =
                [this](const v1::PortClaim& claim) {
                    return m_engines->machine().context()->records.ports.names(
                        claim.host_address(), static_cast<std::uint16_t>(claim.host_port()),
                        fmt::format("{}/{}", claim.container_port(), claim.protocol()));
                },
            .ownerOf =
                [this](const std::string& addressOrName, PortTable::OwnerDone done) {
                    m_engines->machine().containers().find(
                        addressOrName, [done = std::move(done)](const ContainerSeen* container) {
                            done(container ? PortOwner{container->name, container->proxyProtocol}
                                           : PortOwner{});
                        });
                },
            .changed = [this] { publishSoon(); }});
    openWaysOut();
    m_session = std::make_unique<EngineSession>(
        m_loop,
        EngineSession::Parts{.dialer = dialer,
                             .ports = *m_ports,
                             .files = m_files.get(),
                             .askedByMachine =
                                 [this](const v1::DialOut& target, auto stream, Descriptor client) {
                                     m_outbound->lead(target, std::move(stream), std::move(client));
                                 },
                             .configuration = configuration(),
                             .changed = [this] { engineChanged(); }});
}

Dialer& Bridge::dialer()
{
    return m_multiplexed ? *m_multiplexed : m_machine->dialer();
}

// --- What the machine wants of this host.

void Bridge::openWaysOut()
{
    m_names = std::make_unique<HostNames>(m_loop, HostNames::Options{.hostAddress = hostAddress()});
    m_outbound = std::make_unique<OutboundConnections>(
        m_loop,
        OutboundConnections::Parts{
            .endpoint =
                [this](StreamPtr client) { m_engines->serveFromMachine(std::move(client)); },
            .names = [this](StreamPtr client) { m_names->serve(std::move(client)); }},
        egressPolicy());
}

// As containers reach it; empty: the machine has no network.
std::string Bridge::hostAddress() const
{
    auto network = parseSubnet(m_machine->facts().subnet);
    return network ? uplinkOf(*network).host : "";
}

// A machine that has no other way out uses this one, whatever the settings say.
EgressMode Bridge::egress() const
{
    if (m_machine->facts().network == name(EgressMode::Host)) return EgressMode::Host;
    return m_settings.egress.value_or(EgressMode::Nat);
}

EgressPolicy Bridge::egressPolicy() const
{
    return {egress() == EgressMode::Host, m_settings.hostServices};
}

// Kept once it is in force; a machine that has no such way out gets it with its next start.
void Bridge::setEgress(EgressMode mode, Done done)
{
    auto save = [file = m_options.home.settingsFile(), mode] { return saveEgress(file, mode); };
    auto before = std::exchange(m_settings.egress, mode);
    if (!m_session || egress() != mode) {
        auto saved = save();
        if (saved && m_session)
            saved = fail(Code::FailedPrecondition,
                         "the machine was started without NAT; it has it after: slipway restart");
        return m_loop.post([done = std::move(done), saved] { done(saved); });
    }
    m_outbound->setPolicy(egressPolicy());
    m_session->reconfigure(configuration(), [this, save, before, done](Result<> result) {
        if (result) result = save();
        if (!result) {
            m_settings.egress = before;
            m_outbound->setPolicy(egressPolicy());
            m_session->reconfigure(configuration(), [](const Result<>&) {});
        }
        publish();
        done(std::move(result));
    });
}

// --- Files.

void Bridge::serveFiles()
{
    if (m_files) return;
    auto ended = m_alive.wrap([this](std::uint32_t channel) {
        if (m_session) m_session->shareEnded(channel);
    });
    auto served =
        startFileServer({.stateDir = m_options.home.filesDir(),
                         .ended =
                             [&loop = m_loop, ended](std::uint32_t channel) {
                                 loop.post([ended, channel]() mutable { ended(channel); });
                             },
                         .keeper = m_options.binDir / "slipway-bridge"});
    if (served)
        m_files = *std::move(served);
    else
        m_complaints.push_back(
            {fmt::format("host folders are not served: {}", served.error().message),
             "mend that, then: slipway restart"});
}

void Bridge::machineDown()
{
    m_session.reset();
    if (m_files) m_files->detach();
    m_ports.reset();
    m_outbound.reset();
    m_names.reset();
    if (m_engines) m_engines->machine().setAvailability({});
    abandonMeasuring();
    m_client.reset();
    m_multiplexed.reset();
}

// What is kept outside the machine about its containers: how their binds were spelled, and which
// host folders the machine may see because of them.
Result<> Bridge::forgetContainers()
{
    m_engines->machine().forgetContainers();
    m_files.reset();
    std::error_code failed;
    fs::remove_all(m_options.home.filesDir(), failed);
    if (!failed) return {};
    return failErrno(fmt::format("remove {}", m_options.home.filesDir().string()), failed.value());
}

// There is a docker context for each socket that leads to an engine.
void Bridge::keepContexts(bool stopping)
{
    const Home::Endpoints endpoints = m_options.home.endpoints();
    bool machine = !stopping && m_lifecycle.condition() != v1::CONDITION_STOPPED;
    bool windows = !stopping && m_engines->windows().has_value();
    bool either = m_engines->inUse() == EngineName::Windows ? windows : machine;
    auto keep = [&](const Home::NamedEndpoint& endpoint, bool wanted) {
        // A current one stays: without it docker would fail for everything.
        if (!wanted && currentContext(m_options.user) == endpoint.context) return;
        auto kept = wanted ? makeContext(m_options.user, endpoint.context, endpoint.url())
                           : removeContext(m_options.user, endpoint.context, endpoint.url());
        if (!kept) log::warn("bridge: {}", kept.error().message);
    };
    keep(endpoints.inUse, either);
    keep(endpoints.ofLinux, machine);
    keep(endpoints.ofWindows, windows);
}

void Bridge::enginesChanged()
{
    keepContexts(false);
    publish();
}

void Bridge::useEngine(EngineName engine, Done done)
{
    auto use = [this, engine, done](Result<> started) {
        if (!started) return done(tl::unexpected(started.error()));
        m_engines->use(engine, done);
    };
    if (engine == EngineName::Linux) return m_lifecycle.start(use);
    use({});
}

void Bridge::listenTcp(const std::optional<TcpSettings>& tcp)
{
    if (m_tcp && tcp == m_tcpSettings) return;
    m_tcp.reset();
    m_tcpTrouble.clear();
    m_tcpSettings = tcp;
    if (!tcp) return;
    auto listening =
        TcpEndpoint::listen(m_loop, *tcp, m_options.home.tlsDir(),
                            [this](StreamPtr client) { m_engines->serve(std::move(client)); });
    if (listening)
        m_tcp = *std::move(listening);
    else
        m_tcpTrouble = listening.error().message;
}

void Bridge::setTcp(const std::optional<TcpSettings>& tcp, Done done)
{
    auto before = m_tcpSettings;
    listenTcp(tcp);
    Result<> outcome;
    if (tcp && !m_tcp) outcome = fail(Code::Unavailable, m_tcpTrouble);
    if (outcome) outcome = saveTcp(m_options.home.settingsFile(), tcp);
    if (!outcome) listenTcp(before);
    publish();
    m_loop.post([outcome = std::move(outcome), done = std::move(done)] { done(outcome); });
}

void Bridge::setWindowsEngine(const std::optional<WindowsEngine>& windows, Done done)
{
    auto set = m_engines->setWindows(windows);
    m_loop.post([set = std::move(set), done = std::move(done)] { done(set); });
}

v1::ConfigureRequest Bridge::configuration() const
{
    MachineFacts facts = m_machine->facts();
    v1::ConfigureRequest request;
    auto environment = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    request.set_daemon_json(m_settings.hostProxies
                                ? withHostProxies(m_daemonJson, hostAddress(), environment)
                                : m_daemonJson);
    for (const std::string& subnet : hostSubnets()) request.add_host_subnets(subnet);
    request.set_rootless(facts.rootless);
    request.set_cgroups_writable(facts.cgroupsWritable);
    request.set_egress_by_host(egress() == EgressMode::Host);
    return request;
}

void Bridge::engineChanged()
{
    if (!m_session) return;
    const v1::EngineReport& report = m_session->report();
    bool runs = m_session->linked() && report.condition() == v1::EngineReport::CONDITION_RUNNING;
    std::string why = m_session->linked() ? report.reason() : m_session->trouble();
    if (why.empty()) why = "waiting for the engine to answer";
    if (m_session->linked() && report.failed_starts() >= kFailedStarts)
        return m_lifecycle.engineFails(why);
    m_lifecycle.engineIs(runs, runs ? std::string() : why);
}

void Bridge::conditionChanged()
{
    if (m_lifecycle.condition() == v1::CONDITION_STOPPED) {
        keepContexts(false);
        if (m_files) m_files->machineEnded();
    }
    offerEngine();
    publish();
}

void Bridge::offerEngine()
{
    auto condition = m_lifecycle.condition();
    if (condition == v1::CONDITION_RUNNING) {
        m_engines->machine().setAvailability({.dial = engineBehind(dialer())});
        return;
    }
    bool comes = condition == v1::CONDITION_STARTING || condition == v1::CONDITION_TROUBLE;
    std::string reason =
        condition == v1::CONDITION_STOPPED ? std::string("stopped") : m_lifecycle.reason();
    m_engines->machine().setAvailability({.starting = comes, .reason = reason});
}

}  // namespace slipway
