#include "linux-vm-agent/engine/engine.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "linux-vm-agent/engine/engine_log.h"
#include "linux-vm-agent/engine/layout.h"
#include "shared/core/log.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr auto kContainerdPause = 10ms;
constexpr auto kDockerdPatience = 10s;  // The containers' grace, all together.
constexpr auto kContainerdPatience = 2s;
constexpr auto kValidationLimit = 10s;
constexpr auto kLiveRestorePause = 20ms;
constexpr int kLiveRestoreTries = 100;
constexpr auto kInfoLimit = 5s;

std::optional<v1::ConfigureRequest> storedConfiguration()
{
    std::ifstream file(kConfigurationFile, std::ios::binary);
    v1::ConfigureRequest request;
    if (!file || !request.ParseFromIstream(&file)) return std::nullopt;
    return request;
}

bool inSwarm()
{
    std::error_code ignored;
    return std::filesystem::exists(kSwarmStateFile, ignored);
}

bool saysLiveRestore(const std::string& info, bool enabled)
{
    auto json = parseJson(info, "/info");
    auto* object = json ? json->if_object() : nullptr;
    auto* value = object ? object->if_contains("LiveRestoreEnabled") : nullptr;
    return value && value->is_bool() && value->as_bool() == enabled;
}

}  // namespace

Engine::Engine(Loop& loop, std::function<void()> changed)
    : m_loop(loop),
      m_changed(std::move(changed)),
      m_containerdTimer(loop),
      m_liveRestoreTimer(loop),
      m_containerd(loop, {"containerd", [this] { return containerdCommand(); },
                          [this] { containerdChanged(); }}),
      m_dockerd(loop,
                {"dockerd", [this] { return dockerdCommand(); }, [this] { dockerdChanged(); }}),
      m_health(loop, [this] { healthChanged(); })
{
}

Engine::~Engine()
{
    if (m_natProbe.joinable()) m_natProbe.join();
}

void Engine::begin()
{
    m_natProbe =
        std::thread([this, known = m_alive.wrap([this](Nat nat) { natKnown(nat); })]() mutable {
            m_loop.post([known = std::move(known), nat = probeNat()]() mutable { known(nat); });
        });
    m_configuration = storedConfiguration();
    m_refusedKeys = storedRefusedKeys();
    if (m_configuration && m_dockerd.adopt()) {
        std::ifstream given(kDaemonJsonFile);
        m_daemonJson.text.assign(std::istreambuf_iterator<char>(given), {});
        m_liveRestore = !inSwarm();
        m_health.watch();
    }
    if (!m_containerd.adopt()) m_containerd.start();
    containerdChanged();
}

void Engine::setNetwork(std::string hostGateway, std::vector<EngineNote> notes)
{
    m_hostGateway = std::move(hostGateway);
    m_networkNotes = std::move(notes);
}

void Engine::natKnown(Nat nat)
{
    m_nat = nat;
    const char* backend = nat.backend == NatBackend::Legacy ? "iptables-legacy"
                          : nat.backend == NatBackend::Nft  ? "iptables-nft"
                                                            : "nothing";
    log::info("engine: NAT by {}, IPv6 {}", backend, nat.ipv6 ? "too" : "without");
    applyConfiguration();
}

Result<> Engine::configure(const v1::ConfigureRequest& request)
{
    std::ofstream file(kConfigurationFile, std::ios::trunc | std::ios::binary);
    request.SerializeToOstream(&file);
    file.close();
    if (!file)
        return fail(Code::Unavailable,
                    fmt::format("write {}: no room on the machine's /run", kConfigurationFile));
    m_configuration = request;
    applyConfiguration();
    return {};
}

void Engine::applyConfiguration()
{
    if (!m_configuration || !m_nat || m_stopping) return;
    DaemonJson wanted = daemonJsonNow(m_liveRestore);
    bool differs = wanted.text != m_daemonJson.text;
    m_daemonJson.notes = wanted.notes;
    if (m_dockerd.pid() && differs) {
        log::info("engine: restart dockerd for other settings");
        m_health.rest();
        m_dockerd.restart();
    }
    maybeStartDockerd();
    m_changed();
}

void Engine::containerdChanged()
{
    m_containerdAnswers = false;
    m_containerdTimer.stop();
    m_containerdProbe.reset();
    if (!m_containerd.pid() || m_stopping) return;
    m_containerd.healthy();
    askContainerd();
}

void Engine::askContainerd()
{
    m_containerdProbe = connectUnix(m_loop, kContainerdSocket, [this](Result<StreamPtr> stream) {
        m_containerdProbe.reset();
        if (!stream) return m_containerdTimer.after(kContainerdPause, [this] { askContainerd(); });
        m_containerdAnswers = true;
        maybeStartDockerd();
    });
}

void Engine::maybeStartDockerd()
{
    if (m_configuration && m_nat && m_containerdAnswers && !m_stopping) m_dockerd.start();
}

void Engine::dockerdChanged()
{
    if (m_dockerd.pid() && !m_stopping) {
        m_goodSinceStart = false;
        m_health.watch();
    } else {
        m_health.rest();
        if (!m_goodSinceStart && !m_stopping) {
            ++m_failedStarts;
            checkUsersKeys();
        }
    }
    m_changed();
}

void Engine::healthChanged()
{
    if (m_health.good()) {
        m_goodSinceStart = true;
        m_failedStarts = 0;
        m_dockerd.healthy();
    }
    m_changed();
}

bool Engine::usersKeysHold() const
{
    const std::string& users = m_configuration->daemon_json();
    return !users.empty() && !(m_refusedKeys && m_refusedKeys->daemonJson == users);
}

// dockerd refuses to start with a key it does not know: then it runs without the user's keys.
void Engine::checkUsersKeys()
{
    if (!usersKeysHold() || m_validation) return;
    Command command;
    command.program = "/usr/sbin/dockerd";
    command.args = {"--validate", "--config-file", kDaemonJsonFile};
    auto validated = [this, users = m_configuration->daemon_json()](Result<Output> output) {
        m_validation.reset();
        if (!output || output->exitCode == 0) return;
        usersKeysRefused({users, output->err.substr(0, output->err.find('\n'))});
    };
    m_validation = startRun(m_loop, command, kValidationLimit, std::move(validated));
}

void Engine::usersKeysRefused(RefusedKeys refused)
{
    log::warn("engine: dockerd refuses daemon.json and is started without: {}", refused.reason);
    m_refusedKeys = std::move(refused);
    if (auto stored = store(*m_refusedKeys); !stored)
        log::warn("engine: {}", stored.error().message);
    m_changed();
}

void Engine::setLiveRestore(bool enabled, Done done)
{
    if (!up())
        return done(fail(Code::Unavailable, "the engine is not running; see `slipway status`"));
    if (enabled && inSwarm())
        return done(fail(Code::FailedPrecondition,
                         "live-restore stays off in a swarm; run `docker swarm leave` first"));
    if (m_liveRestoreCall)
        return done(fail(Code::Aborted, "live-restore is being changed already; try again"));
    if (enabled == m_liveRestore) return done({});
    if (auto written = writeDaemonJson(enabled); !written) return done(std::move(written));
    m_dockerd.signal(SIGHUP);
    awaitLiveRestore(enabled, kLiveRestoreTries, std::move(done));
}

void Engine::awaitLiveRestore(bool enabled, int triesLeft, Done done)
{
    m_liveRestoreCall = std::make_unique<ApiCall>(
        m_loop, "/info", kInfoLimit,
        [this, enabled, triesLeft, done = std::move(done)](Result<std::string> info) mutable {
            auto report = std::move(done);  // Outlives the call, which is dropped below.
            bool taken = info && saysLiveRestore(*info, enabled);
            if (!taken && triesLeft > 0) {
                m_liveRestoreTimer.after(kLiveRestorePause, [this, enabled, triesLeft, report] {
                    awaitLiveRestore(enabled, triesLeft - 1, report);
                });
                return;
            }
            m_liveRestoreCall.reset();
            if (taken) return report({});
            report(fail(Code::DeadlineExceeded,
                        "dockerd did not take up live-restore; see `slipway logs engine`"));
        });
}

void Engine::shutdown(std::function<void()> done)
{
    bool containersWouldGoOn = up() && m_liveRestore;
    m_stopping = true;
    m_liveRestoreTimer.stop();
    m_liveRestoreCall.reset();
    m_changed();
    if (!containersWouldGoOn) return stopDaemons(std::move(done));
    if (auto written = writeDaemonJson(false); !written)
        log::warn("engine: {}", written.error().message);
    m_dockerd.signal(SIGHUP);
    awaitLiveRestore(false, kLiveRestoreTries, [this, done = std::move(done)](Result<> taken) {
        if (!taken) log::warn("engine: {}", taken.error().message);
        stopDaemons(done);
    });
}

void Engine::stopDaemons(std::function<void()> done)
{
    m_health.rest();
    m_containerdTimer.stop();
    m_containerdProbe.reset();
    m_dockerd.stop(kDockerdPatience, [this, done = std::move(done)] {
        m_containerd.stop(kContainerdPatience, done);
    });
}

v1::EngineReport Engine::report() const
{
    v1::EngineReport report;
    if (m_stopping) {
        report.set_condition(v1::EngineReport::CONDITION_STOPPING);
    } else if (!m_configuration) {
        report.set_condition(v1::EngineReport::CONDITION_IDLE);
    } else if (m_health.good()) {
        report.set_condition(v1::EngineReport::CONDITION_RUNNING);
        report.set_version(m_health.facts().version);
        report.set_api_version(m_health.facts().apiVersion);
        report.set_storage_driver(m_health.facts().storageDriver);
    } else if (!m_dockerd.pid() && !m_dockerd.lastEnd().empty()) {
        report.set_condition(v1::EngineReport::CONDITION_FAILED);
        report.set_reason(failure());
    } else if (!m_health.trouble().empty()) {
        report.set_condition(v1::EngineReport::CONDITION_FAILED);
        report.set_reason("dockerd does not answer: " + m_health.trouble());
    } else {
        report.set_condition(v1::EngineReport::CONDITION_STARTING);
        if (!m_containerd.pid())
            report.set_reason("containerd: " + m_containerd.lastEnd());
        else if (!m_dockerd.lastEnd().empty())
            report.set_reason(failure());
    }
    report.set_restarts(m_dockerd.restarts());
    report.set_failed_starts(m_failedStarts);
    auto add = [&report](const EngineNote& note) {
        auto* added = report.add_notes();
        added->set_text(note.text);
        added->set_remedy(note.remedy);
    };
    for (const EngineNote& note : m_networkNotes) add(note);
    for (const EngineNote& note : m_daemonJson.notes) add(note);
    if (m_configuration && !m_configuration->daemon_json().empty() && !usersKeysHold())
        add({"the engine refuses daemon.json and runs with its defaults: " + m_refusedKeys->reason,
             "correct daemon.json, then run `slipway restart`"});
    return report;
}

std::string Engine::failure() const
{
    std::string why = m_goodSinceStart ? "" : lastStartFailure();
    if (why.empty()) return fmt::format("dockerd: {}; it is started again", m_dockerd.lastEnd());
    return fmt::format("dockerd: {}; it is started again{}", why,
                       usersKeysHold()
                           ? "; if a key of daemon.json is to blame, correct it, then run "
                             "`slipway restart`"
                           : "");
}

}  // namespace slipway
