// The only starter of child processes: what to run, what it inherits, and how one learns of its
// end.
//
// A child inherits its three standard streams and what Command::fds names; every other descriptor
// of ours is closed in it, also those that a library opened without close-on-exec. Its signal mask
// is empty and no signal is ignored in it. It is reaped by its own pid, so any number of these may
// live in one process, and nothing may call waitpid(-1) there.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sys/types.h>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"

namespace slipway {

struct Discard {};  // Reads as empty, swallows what is written.
struct Inherit {};  // Ours.

struct InheritedFd {
    int ours = -1;
    int number = -1;  // What the child finds it under; 3 or more.
};

struct Command {
    std::filesystem::path program;  // With a slash as it is, without one looked for in PATH.
    std::vector<std::string> args;  // Without the program's name.

    std::optional<std::map<std::string, std::string>> environment;  // None: ours.
    std::filesystem::path workDir;                                  // Empty: ours.

    using Input = std::variant<Discard, Inherit, int, std::string>;  // int: a descriptor of ours.
    // A path: appended to.
    using Sink = std::variant<Discard, Inherit, int, std::filesystem::path>;
    Input input;  // A string is given through a pipe, at most kMaxInputBytes.
    Sink out;     // run() and startRun() take out and err for themselves.
    Sink err;

    bool newSession = false;  // setsid: no terminal's hang-up or ^C reaches it.
    // It is killed when the thread that starts it ends, however that ends.
    bool diesWithUs = false;
    std::vector<InheritedFd> fds;
    std::vector<std::filesystem::path> cgroups;  // Folders that it joins before the program begins.
};
inline constexpr std::size_t kMaxInputBytes = 65536;  // A pipe holds as much unread, pipe(7).

// Whether PATH holds it.
bool isInstalled(const std::string& program);

// "nft -f -", for messages.
std::string textOf(const Command& command);

// Exit codes are as a shell has them: what the program said, or 128 + the signal that ended it.

// Calls back once when a process has ended. Destroying it stops the watch.
class ExitWatch {
public:
    ExitWatch(Loop& loop, int pidfd, std::function<void()> ended);

private:
    UvHandle<uv_poll_t> m_poll;
    std::function<void()> m_ended;
};

// In a child that was forked by `parent`: has the kernel kill it when that process ends.
void dieWith(pid_t parent);

// A child of ours. Destroying it leaves the process alone: it goes on, and is reaped by whoever
// inherits it. So keep it, or be about to end.
class Child {
public:
    // Once it returns, the program itself is running: an exec that failed is the error.
    static Result<Child> start(const Command& command);

    pid_t pid() const { return m_pid; }
    int pidfd() const { return m_pidfd.get(); }

    // Sends a signal; an ended child is no error.
    void signal(int number) const;
    void terminate() const;
    void kill() const;

    // At most once: the child is reaped, and `ended` gets its exit code. It may destroy the child.
    void onExit(Loop& loop, std::function<void(int exitCode)> ended);

    // Blocks until it has ended, and reaps it. Silences onExit().
    int wait();

private:
    Child(pid_t pid, Descriptor pidfd);

    pid_t m_pid = -1;
    Descriptor m_pidfd;
    std::unique_ptr<ExitWatch> m_watch;
};

struct Output {
    int exitCode = 0;
    std::string out;
    std::string err;
};
inline constexpr std::size_t kMaxOutputBytes = 16u << 20;  // Each; what is more is dropped.

// Runs a short tool to its end, blocking. An error means that it did not start, or was killed
// because it took longer than `timeout`; what its exit code means is the caller's to say.
Result<Output> run(const Command& command, std::chrono::milliseconds timeout);

// The same, where anything but exit code 0 is an error that quotes what the tool wrote.
Result<std::string> outputOf(const Command& command, std::chrono::milliseconds timeout);

// The same on a loop. Destroying it kills the tool; `done` may destroy it.
class Running {
public:
    virtual ~Running() = default;
};
using RunDone = std::function<void(Result<Output>)>;
// Of its standard output, as it comes.
using OutLine = std::function<void(const std::string& line)>;
std::unique_ptr<Running> startRun(Loop& loop, const Command& command,
                                  std::chrono::milliseconds timeout, RunDone done,
                                  OutLine onLine = {});

}  // namespace slipway
