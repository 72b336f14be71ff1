// The container engine: containerd and dockerd, configured, watched and stopped.
//
// Theory of operation. containerd is started with the agent, dockerd once three things are there:
// the configuration, what the kernel can do for NAT, and an answering containerd. Both are
// processes of their own that outlive the agent; one that is started anew takes them over with the
// configuration it left in kRunDir. Whether the engine is up is what /_ping says (EngineHealth),
// never that a process exists.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "linux-vm-agent/engine/daemon.h"
#include "linux-vm-agent/engine/daemon_json.h"
#include "linux-vm-agent/engine/engine_health.h"
#include "linux-vm-agent/engine/nat.h"
#include "linux-vm-agent/engine/refused_keys.h"
#include "shared/io/loop.h"
#include "shared/io/uv_stream.h"
#include "shared/process/child.h"
#include "shared/proto/agent.pb.h"

namespace slipway {

class Engine {
public:
    // `changed` after every change of report().
    Engine(Loop& loop, std::function<void()> changed);
    ~Engine();

    void
    begin();  // Starts containerd, takes over what runs, and starts dockerd if it was configured.

    // How containers reach the host (empty: not known), and what the user should know of the
    // network.
    void setNetwork(std::string hostGateway, std::vector<EngineNote> notes);

    // Starts dockerd, or restarts a running one where the outcome differs. An error if the settings
    // could not be written.
    Result<> configure(const v1::ConfigureRequest& request);

    // Ends when the engine has taken it up.
    using Done = std::function<void(Result<>)>;
    void setLiveRestore(bool enabled, Done done);

    // Stops the containers as a Docker host that shuts down does: each gets its stop signal and its
    // grace, its restart policy stays in force. Then the daemons.
    void shutdown(std::function<void()> done);

    v1::EngineReport report() const;
    bool up() const { return m_health.good(); }
    std::optional<pid_t> dockerdPid() const { return m_dockerd.pid(); }
    std::optional<pid_t> containerdPid() const { return m_containerd.pid(); }

private:
    void natKnown(Nat nat);
    void containerdChanged();
    void askContainerd();
    void dockerdChanged();
    void healthChanged();
    void maybeStartDockerd();
    bool usersKeysHold() const;  // There are some, and dockerd has not refused them.
    void checkUsersKeys();
    void usersKeysRefused(RefusedKeys refused);
    std::string failure() const;
    Result<Command> containerdCommand() const;
    Result<Command> dockerdCommand();
    DaemonJson daemonJsonNow(bool liveRestore) const;
    Result<> writeDaemonJson(bool liveRestore);
    void applyConfiguration();
    void awaitLiveRestore(bool enabled, int triesLeft, Done done);
    void stopDaemons(std::function<void()> done);

    Loop& m_loop;
    std::function<void()> m_changed;
    std::thread m_natProbe;
    std::optional<Nat> m_nat;
    std::string m_hostGateway;
    std::vector<EngineNote> m_networkNotes;
    std::optional<v1::ConfigureRequest> m_configuration;
    std::optional<RefusedKeys> m_refusedKeys;
    DaemonJson m_daemonJson;    // What dockerd was given last.
    bool m_liveRestore = true;  // In m_daemonJson.
    bool m_containerdAnswers = false;
    bool m_goodSinceStart = false;     // Of the present dockerd, or the last.
    std::uint32_t m_failedStarts = 0;  // Since one was good.
    bool m_stopping = false;
    Timer m_containerdTimer;
    std::unique_ptr<Connecting> m_containerdProbe;
    std::unique_ptr<Running> m_validation;
    Timer m_liveRestoreTimer;
    std::unique_ptr<ApiCall> m_liveRestoreCall;
    Daemon m_containerd;
    Daemon m_dockerd;
    EngineHealth m_health;
    Alive m_alive;
};

}  // namespace slipway
