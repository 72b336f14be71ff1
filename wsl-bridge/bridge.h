// The bridge itself: one engine in one machine, and everything that makes it look native on the
// host.
//
// Theory of operation. Three facts matter: the machine runs or not (Machine), its agent can be
// talked to or not (EngineSession), the engine answers /_ping or not (the agent's report).
// Lifecycle moves these along, one operation at a time; here is what there must be while the
// machine runs, and what is told of it all. The agent's death is repaired by its init, dockerd's by
// the agent, the machine's by Lifecycle. Everything runs on the loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shared/io/loop.h"
#include "shared/paths/home.h"
#include "shared/proto/bridge.pb.h"
#include "wsl-bridge/egress/host_names.h"
#include "wsl-bridge/egress/outbound_connections.h"
#include "wsl-bridge/engine/engine_client.h"
#include "wsl-bridge/engine/tcp_endpoint.h"
#include "wsl-bridge/engine_session.h"
#include "wsl-bridge/engines.h"
#include "wsl-bridge/files/file_server.h"
#include "wsl-bridge/lifecycle.h"
#include "wsl-bridge/machine/machine.h"
#include "wsl-bridge/ports/port_table.h"
#include "wsl-bridge/settings/settings.h"

namespace slipway {

class Bridge {
public:
    struct Options {
        Home home;
        User user;
        std::filesystem::path binDir;  // Where the programs of this release lie.
        std::function<void()> ended;   // quit() is done: the process may go.
    };
    using Done = Lifecycle::Done;

    static Result<std::unique_ptr<Bridge>> create(Loop& loop, Options options);
    ~Bridge();

    Lifecycle& lifecycle() { return m_lifecycle; }
    Engines& engines() { return *m_engines; }
    void quit(bool stopEngine, Done done);  // As Lifecycle's, then the process may go.

    // As Engines', but the machine is started first if its engine is to be used.
    void useEngine(EngineName engine, Done done);
    void setTcp(const std::optional<TcpSettings>& tcp, Done done);
    // Without a restart where the machine has the way out that is asked for; the error says if not.
    void setEgress(EgressMode mode, Done done);
    void setWindowsEngine(const std::optional<WindowsEngine>& windows, Done done);

    // Calls `watch` with the state as measured now, and after every change, for as long as the
    // subscription lives.
    using Watch = std::function<void(const v1::State&)>;
    using Subscription = std::shared_ptr<Watch>;
    Subscription watch(Watch watch);

private:
    using Clock = std::chrono::system_clock;

    Bridge(Loop& loop, Options options);
    Result<> listen();

    // What Lifecycle asks for.
    Result<MachineSetup> prepare();
    void machineUp(bool adopted);
    void machineDown();
    Result<> forgetContainers();
    void conditionChanged();

    void readSettings();
    void listenTcp(const std::optional<TcpSettings>& tcp);
    void serveFiles();
    Dialer& dialer();
    void openWaysOut();
    std::string hostAddress() const;
    EgressMode egress() const;  // In effect.
    EgressPolicy egressPolicy() const;
    void openSession();
    void engineChanged();
    void enginesChanged();
    void keepContexts(bool stopping);
    void offerEngine();
    v1::ConfigureRequest configuration() const;

    // Measuring: what a state says beyond what the bridge knows anyway.
    void measure();
    void measured(unsigned round);
    void abandonMeasuring();
    void publish();
    void publishSoon();  // Once for what changes by the thousand.
    v1::State state() const;
    void addEngine(v1::State& state) const;
    void addEngines(v1::State& state) const;
    void addTcp(v1::State& state) const;
    void addMachine(v1::State& state) const;
    void addFolders(v1::State& state) const;
    void addPorts(v1::State& state) const;
    void addProcesses(v1::State& state) const;
    void addWarnings(v1::State& state) const;

    Loop& m_loop;
    Options m_options;
    std::unique_ptr<Machine> m_machine;
    Lifecycle m_lifecycle;
    std::unique_ptr<FileServer> m_files;  // In fuse mode.
    std::unique_ptr<Engines> m_engines;
    std::unique_ptr<TcpEndpoint> m_tcp;
    std::optional<TcpSettings> m_tcpSettings;  // That m_tcp has, or failed to have.
    std::string m_tcpTrouble;

    // As read when the machine was started or taken over.
    Settings m_settings;
    std::string m_daemonJson;
    std::vector<Complaint> m_complaints;

    // While the machine runs. Declared after what they use, so that they die first.
    std::unique_ptr<Dialer> m_multiplexed;  // Null: each stream is dialled by itself.
    std::unique_ptr<EngineClient> m_client;
    std::unique_ptr<PortTable> m_ports;
    std::unique_ptr<HostNames> m_names;
    std::unique_ptr<OutboundConnections> m_outbound;
    std::unique_ptr<EngineSession> m_session;

    std::vector<std::weak_ptr<Watch>> m_newWatches;  // Wait for what is being measured.
    std::vector<std::weak_ptr<Watch>> m_watches;
    std::vector<EngineQuestionPtr> m_questions;
    int m_measuring = 0;   // Answers still to come.
    unsigned m_round = 0;  // Which they answer.
    v1::GetUsageResponse m_usage;
    std::chrono::microseconds m_pingTook{};
    Clock::time_point m_pingedAt{};
    std::uint64_t m_diskBytes = 0;        // 0: not known.
    Clock::time_point m_diskNotBefore{};  // The next question for it.
    bool m_publishing = false;            // Soon.
    Timer m_remeasure;
    Alive m_alive;
};

}  // namespace slipway
