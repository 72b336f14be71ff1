#include "shared/process/child.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/error.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/search_path.hpp>
#include <fmt/format.h>

#include "shared/core/folder_owner.h"

namespace slipway {
namespace {

namespace bp = boost::process;

// Boost reports a failure in the child as one number, so it says there which step failed, too.
enum class Step { Exec = 0, Descriptors = 1, Cgroup = 2, Session = 3, WorkDir = 4 };
constexpr int kStepShift = 16;

std::string_view nameOf(Step step)
{
    switch (step) {
        case Step::Exec:
            return "exec";
        case Step::Descriptors:
            return "pass descriptors";
        case Step::Cgroup:
            return "join cgroup";
        case Step::Session:
            return "new session";
        case Step::WorkDir:
            return "enter folder";
    }
    return "exec";
}

// Everything that the child needs between fork and exec, made ready before the fork: there it may
// only make system calls, as another thread may have held any lock.
struct Setup : bp::extend::handler {
    struct Passed {
        int ours;
        int number;
    };
    std::vector<Passed> passed;    // In the order of number; the standard streams first.
    std::vector<Descriptor> kept;  // Opened for the child, closed here afterwards.
    std::vector<int> cgroups;
    int workDir = -1;
    bool newSession = false;
    pid_t diesWith = 0;
    std::vector<std::string> variables;
    std::vector<char*> environment;
    bool ownEnvironment = false;

    int keep(int fd) { return kept.emplace_back(fd).get(); }

    template <class Executor>
    void on_setup(Executor& exec)
    {
        if (ownEnvironment) exec.env = environment.data();
    }

    // Boost reaps a child that failed only if it is dead already.
    template <class Executor>
    void on_error(Executor& exec, const std::error_code&)
    {
        if (exec.pid > 0) ::waitpid(exec.pid, nullptr, 0);
    }

    template <class Executor>
    void on_exec_setup(Executor& exec)
    {
        auto failed = [&exec](Step step) {
            exec.set_error(std::error_code(errno | static_cast<int>(step) << kStepShift,
                                           std::system_category()),
                           "");
            ::_exit(127);
        };
        if (newSession && ::setsid() < 0) failed(Step::Session);
        for (int group : cgroups) {
            if (::write(group, "0", 1) < 0) failed(Step::Cgroup);
        }
        if (workDir >= 0 && ::fchdir(workDir) < 0) failed(Step::WorkDir);
        if (!passDescriptors()) failed(Step::Descriptors);
        resetSignals();
        if (diesWith) dieWith(diesWith);
    }

    // First out of the way of every number asked for, then each to its number; all others are
    // closed by the exec, Boost's own pipe among them.
    bool passDescriptors() const
    {
        int above = passed.back().number + 1;
        int moved[kMaxPassed];
        for (std::size_t i = 0; i < passed.size(); ++i) {
            moved[i] = ::fcntl(passed[i].ours, F_DUPFD_CLOEXEC, above);
            if (moved[i] < 0) return false;
        }
        if (::syscall(SYS_close_range, 3u, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0) return false;
        for (std::size_t i = 0; i < passed.size(); ++i) {
            if (::dup2(moved[i], passed[i].number) < 0) return false;
        }
        return true;
    }

    static void resetSignals()
    {
        for (int number = 1; number < NSIG; ++number) {
            if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
        }
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    static constexpr std::size_t kMaxPassed = 64;
};

Result<int> openInput(const Command::Input& input, Setup& setup)
{
    if (std::holds_alternative<Inherit>(input)) return STDIN_FILENO;
    if (auto* fd = std::get_if<int>(&input)) return *fd;
    if (auto* bytes = std::get_if<std::string>(&input)) {
        CHECK(bytes->size() <= kMaxInputBytes);
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0) return failErrno("pipe", errno);
        Descriptor writeEnd(ends[1]);
        int readEnd = setup.keep(ends[0]);
        if (::write(writeEnd.get(), bytes->data(), bytes->size()) !=
            static_cast<ssize_t>(bytes->size())) {
            return failErrno("fill its standard input", errno);
        }
        return readEnd;
    }
    int fd = setup.keep(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (fd < 0) return failErrno("open /dev/null", errno);
    return fd;
}

Result<int> openSink(const Command::Sink& sink, int inherited, Setup& setup)
{
    if (std::holds_alternative<Inherit>(sink)) return inherited;
    if (auto* fd = std::get_if<int>(&sink)) return *fd;
    auto* file = std::get_if<std::filesystem::path>(&sink);
    std::string path = file ? file->string() : "/dev/null";
    int fd = setup.keep(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (fd < 0) return failErrno(fmt::format("open {}", path), errno);
    if (file) TRY_VOID(giveToFolderOwner(*file));
    return fd;
}

Result<std::string> findProgram(const std::filesystem::path& program)
{
    if (program.string().find('/') != std::string::npos) return program.string();
    auto found = bp::search_path(program);
    if (found.empty()) {
        return fail(Code::NotFound, fmt::format("{} is not in PATH; install it", program.string()));
    }
    return found.string();
}

// A number that the child is to find something under must not be the one that Boost's pipe gets.
void reserveNumbers(const Command& command, Setup& setup)
{
    int null = setup.keep(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (const auto& fd : command.fds) {
        int reserved = ::fcntl(null, F_DUPFD_CLOEXEC, fd.number);
        if (reserved >= 0) setup.keep(reserved);
    }
}

Result<> prepare(const Command& command, Setup& setup)
{
    CHECK(command.fds.size() + 3 <= Setup::kMaxPassed);
    TRY(int in, openInput(command.input, setup));
    TRY(int out, openSink(command.out, STDOUT_FILENO, setup));
    TRY(int err, openSink(command.err, STDERR_FILENO, setup));
    setup.passed = {{in, 0}, {out, 1}, {err, 2}};
    for (const auto& fd : command.fds) {
        CHECK(fd.number >= 3);
        setup.passed.push_back({fd.ours, fd.number});
    }
    std::sort(setup.passed.begin(), setup.passed.end(),
              [](const auto& a, const auto& b) { return a.number < b.number; });

    for (const auto& group : command.cgroups) {
        auto procs = (group / "cgroup.procs").string();
        int fd = setup.keep(::open(procs.c_str(), O_WRONLY | O_CLOEXEC));
        if (fd < 0) return failErrno(fmt::format("open {}", procs), errno);
        setup.cgroups.push_back(fd);
    }
    if (!command.workDir.empty()) {
        setup.workDir =
            setup.keep(::open(command.workDir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (setup.workDir < 0)
            return failErrno(fmt::format("enter {}", command.workDir.string()), errno);
    }
    setup.newSession = command.newSession;
    setup.diesWith = command.diesWithUs ? ::getpid() : 0;
    if (command.environment) {
        for (const auto& [key, value] : *command.environment) {
            setup.variables.push_back(key + "=" + value);
        }
        for (auto& variable : setup.variables) setup.environment.push_back(variable.data());
        setup.environment.push_back(nullptr);
        setup.ownEnvironment = true;
    }
    reserveNumbers(command, setup);
    return {};
}

int exitCodeOf(const siginfo_t& info)
{
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

// By pid, as libuv makes the pidfd non-blocking and waitid(2) would then not wait on it.
int reap(pid_t pid)
{
    siginfo_t info{};
    int waited = 0;
    do {
        waited = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
    } while (waited < 0 && errno == EINTR);
    CHECK(waited == 0);  // Somebody else reaped our child.
    return exitCodeOf(info);
}

}  // namespace

void dieWith(pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // It ended before the kernel knew.
}

bool isInstalled(const std::string& program)
{
    return !bp::search_path(program).empty();
}

std::string textOf(const Command& command)
{
    auto text = command.program.filename().string();
    for (const auto& arg : command.args) text += " " + arg;
    return text;
}

Result<Child> Child::start(const Command& command)
{
    auto named = [&command](Error error) {
        return tl::unexpected<Error>(
            context(fmt::format("start {}", command.program.string()), std::move(error)));
    };
    auto program = findProgram(command.program);
    if (!program) return named(std::move(program).error());
    Setup setup;
    if (auto prepared = prepare(command, setup); !prepared) {
        return named(std::move(prepared).error());
    }

    std::error_code failed;
    bp::child child(bp::exe = *program, bp::args = command.args, setup, failed);
    if (failed) {
        auto step = static_cast<Step>(failed.value() >> kStepShift);
        int errnoValue = failed.value() & ((1 << kStepShift) - 1);
        return named(Error{codeOfErrno(errnoValue),
                           fmt::format("{}: {}", nameOf(step), std::strerror(errnoValue))});
    }
    pid_t pid = child.id();
    child.detach();  // Boost is not to wait for it; reap() does.
    Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) {
        int errnoValue = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return named(Error{codeOfErrno(errnoValue),
                           fmt::format("pidfd_open: {}", std::strerror(errnoValue))});
    }
    return Child(pid, std::move(pidfd));
}

Child::Child(pid_t pid, Descriptor pidfd) : m_pid(pid), m_pidfd(std::move(pidfd)) {}

void Child::signal(int number) const
{
    ::syscall(SYS_pidfd_send_signal, m_pidfd.get(), number, nullptr, 0);
}

void Child::terminate() const
{
    signal(SIGTERM);
}

void Child::kill() const
{
    signal(SIGKILL);
}

void Child::onExit(Loop& loop, std::function<void(int exitCode)> ended)
{
    CHECK(!m_watch);
    m_watch = std::make_unique<ExitWatch>(
        loop, m_pidfd.get(), [pid = m_pid, ended = std::move(ended)] { ended(reap(pid)); });
}

int Child::wait()
{
    m_watch.reset();
    return reap(m_pid);
}

ExitWatch::ExitWatch(Loop& loop, int pidfd, std::function<void()> ended)
    : m_poll(new uv_poll_t{}), m_ended(std::move(ended))
{
    CHECK(uv_poll_init(loop.uv(), m_poll.get(), pidfd) == 0);
    m_poll->data = this;
    uv_poll_start(m_poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
        if (!handle->data) return;
        auto& self = *static_cast<ExitWatch*>(handle->data);
        uv_poll_stop(handle);
        auto callback = std::move(self.m_ended);  // It may destroy the watch.
        callback();
    });
}

}  // namespace slipway
