// slipway-init: PID 1 of the machine. It holds what must outlive the agent (the token of this boot
// and the /dev/fuse descriptor), keeps the agent running, reaps orphans, and ends the machine.
//
// Theory of operation. One signalfd and one poll: SIGCHLD reaps everything that has ended, SIGTERM
// (from the host), SIGINT and SIGPWR begin the end. The agent is in one of three states: running,
// due (it died and is started again at m_due), or gone for good (it ended with 0, which asks for
// power-off). The end goes: SIGTERM to the agent, at most kAgentGrace; SIGTERM to all, at most
// kOthersGrace; the FUSE connection is aborted, so that nothing hangs on the share; SIGKILL to all;
// exit, upon which the kernel takes down the namespaces with every mount in them.
//
// Linked statically and of plain system calls: it runs before anything else of the machine does.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/fuse/wire.h"

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kFirstPause = 50ms;
constexpr auto kLongestPause = 2000ms;
constexpr auto kLongLife = 10s;  // An agent that lived so long is started again at once.
constexpr auto kAgentGrace = 10s;
constexpr auto kOthersGrace = 1s;
constexpr auto kKillGrace = 5s;
constexpr std::size_t kTokenBytes = 32;
constexpr int kAgentFuseFd = 3;  // What the agent finds /dev/fuse under.
constexpr const char* kConnections = "/sys/fs/fuse/connections";

__attribute__((format(printf, 1, 2))) void say(const char* format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    std::fprintf(stderr, "init: %s\n", text);
}

void sayErrno(const std::string& what)
{
    say("%s: %s", what.c_str(), std::strerror(errno));
}

struct Options {
    bool fuse = false;
    std::string share = "/mnt/host";
    std::string agent = "/usr/lib/slipway/slipway-agent";
    std::string hostname;
    std::string network;  // The machine's, a CIDR; for the agent.
    // Kept open as long as the machine lives, for a helper on the host that watches it.
    int heldFd = -1;
};

bool parse(int count, char** words, Options& options)
{
    for (int i = 1; i + 1 < count; i += 2) {
        std::string name = words[i];
        std::string value = words[i + 1];
        if (name == "--files" && (value == "direct" || value == "fuse"))
            options.fuse = value == "fuse";
        else if (name == "--share")
            options.share = value;
        else if (name == "--agent")
            options.agent = value;
        else if (name == "--hostname")
            options.hostname = value;
        else if (name == "--network")
            options.network = value;
        else if (name == "--hold-fd")
            options.heldFd = std::atoi(value.c_str());
        else
            return false;
    }
    return count % 2 == 1;
}

bool writeFile(const std::string& path, const std::string& text)
{
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool whole = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    return whole;
}

std::string readFile(const std::string& path)
{
    std::string text;
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return text;
    char buffer[4096];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    ::close(fd);
    return text;
}

void bringLoopbackUp()
{
    int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
    if (fd < 0 || ::ioctl(fd, SIOCGIFFLAGS, &request) < 0) return sayErrno("look at lo");
    request.ifr_flags |= IFF_UP;
    if (::ioctl(fd, SIOCSIFFLAGS, &request) < 0) sayErrno("bring lo up");
    ::close(fd);
}

// Version 2 hands controllers only to groups whose parent holds no process (cgroups(7), "no
// internal processes"), so everything of ours lives in a leaf, and containers get groups beside it.
void moveToLeaf(const std::string& hierarchy)
{
    auto controllers = readFile(hierarchy + "/cgroup.controllers");
    bool empty = controllers.find_first_not_of(" \n") == std::string::npos;
    if (empty || ::access(hierarchy.c_str(), W_OK) < 0)
        return;  // Not delegated to a rootless machine.
    auto leaf = hierarchy + "/init";
    if (::mkdir(leaf.c_str(), 0755) < 0 && errno != EEXIST) return sayErrno("make " + leaf);
    if (!writeFile(leaf + "/cgroup.procs", "0")) return sayErrno("move to " + leaf);
    std::size_t begin = 0;
    while ((begin = controllers.find_first_not_of(" \n", begin)) != std::string::npos) {
        auto end = controllers.find_first_of(" \n", begin);
        auto controller = controllers.substr(begin, end - begin);
        if (!writeFile(hierarchy + "/cgroup.subtree_control", "+" + controller))
            sayErrno("hand down the controller " + controller);
        begin = end;
    }
}

// The share, mounted before anything can ask for it; the agent answers what is asked of it later.
// Options: Documentation/filesystems/fuse.rst.
int mountShare(const std::string& share)
{
    int fuse = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        sayErrno("open /dev/fuse");
        return -1;
    }
    ::mount("fusectl", kConnections, "fusectl", 0, nullptr);  // Only root of the host may.
    auto options = "fd=" + std::to_string(fuse) +
                   ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,"
                   "max_read=" +
                   std::to_string(slipway::fuse::kMaxReadBytes);
    if (::mount("slipway", share.c_str(), "fuse", MS_NODEV | MS_NOSUID, options.c_str()) < 0) {
        sayErrno("mount the share on " + share);
        ::close(fuse);
        return -1;
    }
    return fuse;
}

// The minor number of the share's device is its connection's name. From mountinfo, as stat() would
// ask the agent.
std::string connectionOf(const std::string& share)
{
    auto table = readFile("/proc/self/mountinfo");
    for (std::size_t begin = 0; begin < table.size();) {
        auto end = table.find('\n', begin);
        char device[32];
        char point[4096];
        auto line = table.substr(begin, end - begin);
        if (std::sscanf(line.c_str(), "%*d %*d %*[0-9]:%31s %*s %4095s", device, point) == 2 &&
            share == point && line.find(" - fuse ") != std::string::npos)
            return device;
        begin = end + 1;
    }
    return "";
}

class Init {
public:
    Init(Options options, const char* token, int fuse, int signals)
        : m_options(std::move(options)), m_fuse(fuse), m_signals(signals)
    {
        std::memcpy(m_token, token, kTokenBytes);
    }

    int run()
    {
        startAgent();
        while (!m_ending) {
            if (m_agent < 0 && Clock::now() >= m_due) startAgent();
            wait(m_agent < 0 ? m_due : Clock::time_point::max());
        }
        endAll();
        return 0;
    }

private:
    void startAgent()
    {
        m_agent = forkAgent();
        m_started = Clock::now();
        if (m_agent >= 0) return;
        sayErrno("start the agent");
        startAgentLater();
    }

    // The agent's pid, or -1 and errno.
    pid_t forkAgent()
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0) return -1;
        bool given = ::write(ends[1], m_token, kTokenBytes) == kTokenBytes;
        pid_t agent = given ? ::fork() : -1;
        if (agent == 0) becomeAgent(ends[0]);
        int failure = errno;
        ::close(ends[0]);
        ::close(ends[1]);
        errno = failure;
        return agent;
    }

    void startAgentLater()
    {
        say("it is started again in %d ms", static_cast<int>(m_pause.count()));
        m_due = Clock::now() + m_pause;
        m_pause = std::min<std::chrono::milliseconds>(m_pause * 2, kLongestPause);
    }

    [[noreturn]] void becomeAgent(int token)
    {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
        ::dup2(token, STDIN_FILENO);
        auto number = std::to_string(kAgentFuseFd);
        std::vector<const char*> words{m_options.agent.c_str(), "--files",
                                       m_options.fuse ? "fuse" : "direct"};
        if (!m_options.network.empty())
            words.insert(words.end(), {"--network", m_options.network.c_str()});
        if (m_fuse >= 0) {
            words.insert(words.end(), {"--fuse-fd", number.c_str()});
            // A descriptor that already has the number keeps its close-on-exec through dup2.
            if (m_fuse == kAgentFuseFd)
                ::fcntl(m_fuse, F_SETFD, 0);
            else
                ::dup2(m_fuse, kAgentFuseFd);
        }
        words.push_back(nullptr);
        ::execv(words[0], const_cast<char**>(words.data()));
        sayErrno("run " + m_options.agent);
        ::_exit(127);
    }

    // Until a signal has come and been dealt with, or `until` has passed.
    void wait(Clock::time_point until)
    {
        pollfd watched{m_signals, POLLIN, 0};
        int timeoutMs = -1;
        if (until != Clock::time_point::max()) {
            auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
            timeoutMs = left < 0 ? 0 : static_cast<int>(left);
        }
        if (::poll(&watched, 1, timeoutMs) <= 0) return;
        signalfd_siginfo info{};
        while (::read(m_signals, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGCHLD)
                reap();
            else if (!m_ending) {
                say("asked to end by signal %u", info.ssi_signo);
                m_ending = true;
            }
        }
    }

    void reap()
    {
        int status = 0;
        for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == m_agent) agentEnded(status);
        }
        m_alone = ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
    }

    void agentEnded(int status)
    {
        m_agent = -1;
        if (m_ending) return;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            say("the agent asked for power-off");
            m_ending = true;
            return;
        }
        if (Clock::now() - m_started >= kLongLife) m_pause = kFirstPause;
        if (WIFEXITED(status))
            say("the agent ended with exit code %d", WEXITSTATUS(status));
        else
            say("the agent was ended by signal %d", WTERMSIG(status));
        startAgentLater();
    }

    void endAll()
    {
        auto due = Clock::now() + kAgentGrace;
        if (m_agent > 0) ::kill(m_agent, SIGTERM);
        while (m_agent > 0 && Clock::now() < due) wait(due);
        if (m_agent > 0) say("the agent has not ended in time, it is killed");

        m_alone = false;
        due = Clock::now() + kOthersGrace;
        ::kill(-1, SIGTERM);
        for (reap(); !m_alone && Clock::now() < due;) wait(due);

        abortShare();
        due = Clock::now() + kKillGrace;
        ::kill(-1, SIGKILL);
        for (reap(); !m_alone && Clock::now() < due;) wait(due);
        ::umount2(m_options.share.c_str(), MNT_DETACH);
        ::sync();
        say("the machine ends");
    }

    // A process that waits for an answer of the share can't be killed before the connection is
    // aborted.
    void abortShare()
    {
        if (m_fuse < 0) return;
        auto connection = connectionOf(m_options.share);
        if (!connection.empty())
            writeFile(std::string(kConnections) + "/" + connection + "/abort", "1");
        ::close(m_fuse);
    }

    Options m_options;
    char m_token[kTokenBytes];
    int m_fuse;
    int m_signals;
    pid_t m_agent = -1;  // -1: none; it is started when m_due has come.
    Clock::time_point m_started;
    Clock::time_point m_due;
    std::chrono::milliseconds m_pause = kFirstPause;
    bool m_ending = false;
    bool m_alone = false;  // No child is left.
};

int openSignals()
{
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGCHLD, SIGTERM, SIGINT, SIGPWR}) sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool readToken(char* token)
{
    std::size_t have = 0;
    while (have < kTokenBytes) {
        auto count = ::read(STDIN_FILENO, token + have, kTokenBytes - have);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        have += count;
    }
    int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null >= 0 && ::dup2(null, STDIN_FILENO) == STDIN_FILENO;
}

}  // namespace

int main(int count, char** words)
{
    Options options;
    if (!parse(count, words, options)) {
        say("usage: slipway-init [--files direct|fuse] [--share FOLDER] [--agent PROGRAM] "
            "[--hostname NAME] [--network CIDR] [--hold-fd NUMBER]");
        return 2;
    }
    char token[kTokenBytes];
    if (!readToken(token)) {
        say("the token did not come on standard input: the host must write %zu bytes", kTokenBytes);
        return 1;
    }
    int signals = openSignals();
    if (signals < 0) {
        sayErrno("signalfd");
        return 1;
    }
    if (options.heldFd >= 0) ::fcntl(options.heldFd, F_SETFD, FD_CLOEXEC);
    if (!options.hostname.empty() &&
        ::sethostname(options.hostname.data(), options.hostname.size()) < 0)
        sayErrno("set the host name");
    bringLoopbackUp();
    moveToLeaf("/sys/fs/cgroup");
    moveToLeaf("/sys/fs/cgroup/unified");
    int fuse = options.fuse ? mountShare(options.share) : -1;
    if (options.fuse && fuse < 0) return 1;
    return Init(std::move(options), token, fuse, signals).run();
}
