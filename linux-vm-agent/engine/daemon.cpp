#include "linux-vm-agent/engine/daemon.h"

#include <algorithm>
#include <csignal>
#include <fstream>

#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "shared/core/log.h"
#include "shared/process/process_facts.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kFirstPause = 100ms;
constexpr std::chrono::milliseconds kLongestPause = 5s;
constexpr std::chrono::milliseconds kHealthyTime = 10s;
// Containers of a swarm are stopped in it.
constexpr std::chrono::milliseconds kRestartPatience = 30s;

std::string textOfEnd(int exitCode)
{
    return exitCode > 128 ? fmt::format("killed by signal {}", exitCode - 128)
                          : fmt::format("exit code {}", exitCode);
}

}  // namespace

Daemon::Daemon(Loop& loop, Options options)
    : m_loop(loop),
      m_options(std::move(options)),
      m_pause(kFirstPause),
      m_startTimer(loop),
      m_killTimer(loop)
{
}

bool Daemon::adopt()
{
    std::ifstream record(recordFile());
    pid_t pid = 0;
    std::uint64_t startTime = 0;
    if (!(record >> pid >> startTime >> m_starts)) return false;
    Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd || startTimeOf(pid) != startTime || programOf(pid) != m_options.name) return false;
    m_wanted = true;
    log::info("{}: goes on as process {}", m_options.name, pid);
    int watched = pidfd.get();
    m_adopted.emplace(Adopted{pid, std::move(pidfd), nullptr});
    m_adopted->watch = std::make_unique<ExitWatch>(m_loop, watched, [this] { ended("ended"); });
    return true;
}

void Daemon::start()
{
    m_wanted = true;
    if (!pid()) startNow();
}

void Daemon::startNow()
{
    m_startTimer.stop();
    auto command = m_options.command();
    auto child = command ? Child::start(*command) : Result<Child>(tl::unexpected(command.error()));
    if (!child) return ended(child.error().message);
    m_child.emplace(std::move(*child));
    ++m_starts;
    writeRecord(m_child->pid());
    log::info("{}: started as process {}", m_options.name, m_child->pid());
    m_child->onExit(m_loop, [this](int exitCode) { ended(textOfEnd(exitCode)); });
    m_options.changed();
}

void Daemon::ended(std::string how)
{
    m_child.reset();
    m_adopted.reset();
    m_killTimer.stop();
    log::line(m_wanted ? log::Level::Warn : log::Level::Info, "{}: {}", m_options.name, how);
    m_lastEnd = m_restarting ? "" : std::move(how);
    if (auto stopped = std::exchange(m_stopped, nullptr)) return stopped();
    if (m_wanted) startLater();
    m_options.changed();
}

void Daemon::startLater()
{
    bool wasHealthy =
        m_healthySince && std::chrono::steady_clock::now() - *m_healthySince >= kHealthyTime;
    m_healthySince.reset();
    if (wasHealthy) m_pause = kFirstPause;
    auto pause = std::exchange(m_restarting, false) ? 0ms : m_pause;
    if (pause > 0ms) m_pause = std::min(m_pause * 2, kLongestPause);
    m_startTimer.after(pause, [this] { startNow(); });
}

void Daemon::restart()
{
    if (!pid()) return;
    m_restarting = true;
    endWithin(kRestartPatience);
}

void Daemon::stop(std::chrono::milliseconds patience, std::function<void()> stopped)
{
    m_wanted = false;
    m_startTimer.stop();
    m_stopped = std::move(stopped);
    if (!pid()) {
        m_startTimer.after(0ms, [this] {
            if (auto report = std::exchange(m_stopped, nullptr)) report();
        });
        return;
    }
    endWithin(patience);
}

void Daemon::endWithin(std::chrono::milliseconds patience)
{
    signal(SIGTERM);
    m_killTimer.after(patience, [this, patience] {
        log::warn("{}: killed, as it did not end within {} ms", m_options.name, patience.count());
        signal(SIGKILL);
    });
}

void Daemon::healthy()
{
    m_lastEnd.clear();
    if (!m_healthySince) m_healthySince = std::chrono::steady_clock::now();
}

void Daemon::signal(int number) const
{
    if (m_child) m_child->signal(number);
    if (m_adopted) ::syscall(SYS_pidfd_send_signal, m_adopted->pidfd.get(), number, nullptr, 0);
}

std::optional<pid_t> Daemon::pid() const
{
    if (m_child) return m_child->pid();
    if (m_adopted) return m_adopted->pid;
    return std::nullopt;
}

std::string Daemon::recordFile() const
{
    return fmt::format("{}/{}.process", kRunDir, m_options.name);
}

void Daemon::writeRecord(pid_t pid) const
{
    std::ofstream record(recordFile(), std::ios::trunc);
    record << pid << ' ' << startTimeOf(pid).value_or(0) << ' ' << m_starts << '\n';
    record.close();
    if (!record) log::warn("{}: cannot write {}", m_options.name, recordFile());
}

}  // namespace slipway
