// The Linux machine that the engine runs in: start, stop, and a way in.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/io/loop.h"
#include "shared/paths/home.h"
#include "shared/tunnel/dialer.h"
#include "wsl-bridge/settings/settings.h"

namespace slipway {

struct MachineNote {
    std::string text;
    std::string remedy;
};

// What the status page says of a machine. Empty while it is stopped, but for the kind.
struct MachineFacts {
    std::string kind;       // sandbox
    bool rootless = false;  // Its root is an ordinary user of the host.
    int cgroupVersion = 0;  // 1, 2
    bool cgroupsWritable = false;
    std::string subnet;                   // 10.213.7.0/24
    std::string network;                  // nat, slirp4netns, host, none: the way out it has.
    pid_t pid = 0;                        // Of slipway-init, as the host counts.
    std::uint64_t memoryBytes = 0;        // Of its cgroup; 0 where it has none.
    FilesMode files = FilesMode::Direct;  // What it was started with.
    std::vector<MachineNote> notes;
};

// What a start is to be made with.
struct MachineSetup {
    FilesMode files = FilesMode::Direct;
    std::filesystem::path rootfs;      // A tar.zst, or a folder that is used as it is.
    std::optional<EgressMode> egress;  // None: what works best here.
};

// Everything is called on the loop's thread. One of adopt, start, stop and remove at a time, but
// stop() may also come during adopt() and start(), whose `done` is not called then.
class Machine {
public:
    // Unreachable: it runs, and only stop() or a further adopt() can do something about it.
    enum class State { Stopped, Starting, Running, Unreachable, Stopping };
    using Done = std::function<void(Result<>)>;
    using Step = std::function<void(const std::string&)>;  // "unpacking the root file system: 40 %"

    virtual ~Machine() = default;  // Leaves a running machine alone.

    // Takes over the machine that an earlier bridge left running. NotFound: there is none. After
    // any other error it is Unreachable.
    virtual void adopt(Done done) = 0;

    // Ends when the agent in it answers. Clears away what a killed machine left behind, and imports
    // the root file system if it is not there or its archive has changed. It must be stopped.
    virtual void start(const MachineSetup& setup, Step step, Done done) = 0;

    // Asks slipway-init to end; it asks the agent, which stops the engine. Killed after `deadline`.
    // Nothing of it is left on the host then. No error if it is stopped already.
    virtual void stop(std::chrono::milliseconds deadline, Done done) = 0;

    // Deletes its files: images, containers, volumes. It must be stopped.
    virtual void remove(Done done) = 0;

    virtual State state() const = 0;
    virtual MachineFacts facts() const = 0;
    virtual Dialer& dialer() = 0;  // While it runs.

    // Called when a running or unreachable machine has ended without stop(). The state is Stopped
    // by then.
    virtual void onDeath(std::function<void()> died) = 0;
};

struct SandboxOptions {
    Home home;
    std::filesystem::path binDir;  // With slipway-sandbox, slipway-init, slipway-agent.
};

// Whether a machine could have files = fuse on this host; the error is why not, with the way out.
Result<> fuseCanBeHad();

// A machine of namespaces on this Linux host, as a WSL 2 distro is one on Windows.
std::unique_ptr<Machine> sandboxMachine(Loop& loop, SandboxOptions options);

}  // namespace slipway
