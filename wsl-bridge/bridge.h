// The bridge itself: one engine in one machine, and everything that makes it look native on the host.
//
// Theory of operation. The bridge is a small state machine over three facts: the machine runs or not
// (Machine), its agent can be talked to or not (EngineSession), the engine answers /_ping or not (the
// agent's report). An operation moves these along, one at a time, and reports when the engine has arrived.
// The agent's death is repaired by its init, dockerd's by the agent; the machine's is repaired here, by a
// new start, three times in five minutes at most. Everything runs on the loop.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shared/io/loop.h"
#include "shared/paths/home.h"
#include "shared/proto/bridge.pb.h"
#include "wsl-bridge/engine/endpoint.h"
#include "wsl-bridge/engine/engine_client.h"
#include "wsl-bridge/engine_session.h"
#include "wsl-bridge/files/file_server.h"
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
        Loaded<Settings> settings;
        Loaded<std::string> daemonJson;
        std::function<void()> ended;  // quit() is done: the process may go.
    };
    using Done = std::function<void(Result<>)>;

    static Result<std::unique_ptr<Bridge>> create(Loop& loop, Options options);
    ~Bridge();

    void adopt();  // Takes over a machine that an earlier bridge left running, if there is one.

    void start(Done done);
    void stop(Done done);
    void restart(Done done);
    // Deletes images, containers and volumes, and the grants that binds have made. Stops the engine
    // first.
    void reset(Done done);
    void quit(bool stopEngine, Done done);

    // Calls `watch` with the state as measured now, and after every change, for as long as the
    // subscription lives.
    using Watch = std::function<void(const v1::State&)>;
    using Subscription = std::shared_ptr<Watch>;
    Subscription watch(Watch watch);

private:
    using Clock = std::chrono::system_clock;

    Bridge(Loop& loop, Options options);
    Result<> listen();

    void machineUp(Result<> started);
    void machineDied();
    void openSession();
    void serveFiles();
    void closeSession();
    void enter(v1::Condition condition, const std::string& reason = {});
    void settle(Result<> outcome);  // Tells whoever waits for the engine.
    void engineChanged();
    void stopMachine(Done done);
    Result<> forgetContainers();
    void offerEngine();
    v1::ConfigureRequest configuration() const;

    // Measuring: what a state says beyond what the bridge knows anyway.
    void measure();
    void measured();
    void publish();
    v1::State state() const;
    void addEngine(v1::State& state) const;
    void addMachine(v1::State& state) const;
    void addFolders(v1::State& state) const;
    void addPorts(v1::State& state) const;
    void addProcesses(v1::State& state) const;
    void addWarnings(v1::State& state) const;
    std::string endpointUrl() const;

    Loop& m_loop;
    Options m_options;
    std::unique_ptr<Machine> m_machine;
    std::unique_ptr<FileServer> m_files;  // In fuse mode.
    std::unique_ptr<Endpoint> m_endpoint;

    v1::Condition m_condition = v1::CONDITION_STOPPED;
    std::string m_reason;
    Clock::time_point m_since = Clock::now();
    std::vector<Done> m_waiting;  // For the engine to run.
    Timer m_patience;             // How long a start may take.
    std::deque<Clock::time_point> m_deaths;
    Timer m_revival;

    // While the machine runs. Declared after what they use, so that they die first.
    std::unique_ptr<EngineClient> m_client;
    std::unique_ptr<PortTable> m_ports;
    std::unique_ptr<EngineSession> m_session;

    std::vector<std::weak_ptr<Watch>> m_newWatches;  // Wait for what is being measured.
    std::vector<std::weak_ptr<Watch>> m_watches;
    std::vector<EngineQuestionPtr> m_questions;
    int m_measuring = 0;  // Answers still to come.
    v1::GetUsageResponse m_usage;
    std::chrono::microseconds m_pingTook{};
    Clock::time_point m_pingedAt{};
    std::uint64_t m_diskBytes = 0;       // 0: not known.
    Clock::time_point m_diskNotBefore{};  // The next question for it.
    Timer m_remeasure;
    Alive m_alive;
};

}  // namespace slipway
