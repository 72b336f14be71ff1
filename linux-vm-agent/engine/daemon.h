// One supervised process: started again when it ends, and taken over when the agent itself was
// started again.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

#include "shared/io/loop.h"
#include "shared/process/child.h"

namespace slipway {

class Daemon {
public:
    struct Options {
        std::string name;                          // Also of its record, /run/slipway/NAME.process.
        std::function<Result<Command>()> command;  // What to run, made anew for each start.
        std::function<void()> changed;             // It was started or has ended.
    };
    Daemon(Loop& loop, Options options);

    bool adopt();  // The one that a former agent left running, if there is one.
    void start();
    void restart();  // Asks it to end, and starts it without a pause.

    // Asks it to end, kills it after `patience`; `stopped` is called once it is gone. Not started
    // again.
    void stop(std::chrono::milliseconds patience, std::function<void()> stopped);

    // It does its work: 10 s of that, and the pause before the next start is short again.
    void healthy();

    void signal(int number) const;
    std::optional<pid_t> pid() const;
    // Since the machine began.
    unsigned restarts() const { return m_starts > 0 ? m_starts - 1 : 0; }
    // Why it is not running; empty: it is.
    const std::string& lastEnd() const { return m_lastEnd; }  // Empty once it is healthy again.

private:
    struct Adopted {
        pid_t pid;
        Descriptor pidfd;
        std::unique_ptr<ExitWatch> watch;
    };
    void startNow();
    void ended(std::string how);
    void startLater();
    void endWithin(std::chrono::milliseconds patience);
    std::string recordFile() const;
    void writeRecord(pid_t pid) const;

    Loop& m_loop;
    Options m_options;
    std::optional<Child> m_child;
    std::optional<Adopted> m_adopted;
    unsigned m_starts = 0;
    std::string m_lastEnd;
    std::chrono::milliseconds m_pause;
    std::optional<std::chrono::steady_clock::time_point> m_healthySince;
    bool m_wanted = false;
    bool m_restarting = false;
    std::function<void()> m_stopped;
    Timer m_startTimer;
    Timer m_killTimer;
};

}  // namespace slipway
