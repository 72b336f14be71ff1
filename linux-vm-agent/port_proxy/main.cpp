// slipway-port-proxy: what dockerd starts for each published port, in the place of its own
// docker-proxy.
//
// Theory of operation. It carries no bytes. It claims the port from the agent, hands the agent's
// answer to dockerd on descriptor 3, and from then on is the claim's lease: dockerd ends it by
// SIGINT when the port is no longer published, and the kernel by SIGTERM when dockerd dies
// (Pdeathsig), where containers, and so their ports, go on. If the agent dies it connects again and
// restates the claim.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "linux-vm-agent/port_proxy/arguments.h"

namespace slipway {
namespace {

constexpr int kAnswerFd = 3;  // Where dockerd reads the outcome.
constexpr std::chrono::milliseconds kFirstRetry{10};
constexpr std::chrono::milliseconds kLastRetry{500};
constexpr std::chrono::seconds kPatience{12};  // dockerd gives up at 16 s.

void writeAll(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

int refuse(const std::string& reason)
{
    writeAll(kAnswerFd, std::string(kRefused) + reason);
    return EXIT_FAILURE;
}

int blockedSignals()
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return ::signalfd(-1, &signals, SFD_CLOEXEC);
}

class PortProxy {
public:
    explicit PortProxy(const ClaimedPort& port) : m_port(toText(port)), m_signals(blockedSignals())
    {
    }

    // Until a signal ends it, or the claim is refused.
    int run()
    {
        auto pause = kFirstRetry;
        while (true) {
            bool connected = connectOnce();
            if (connected) {
                auto word = m_answered ? kRestateWord : kClaimWord;
                writeAll(m_agent, std::string(word) + m_port + "\n");
                auto ended = serve();
                ::close(m_agent);
                if (ended == Ended::Signal) return EXIT_SUCCESS;
                if (ended == Ended::Refused) return EXIT_FAILURE;
            }
            if (!m_answered && std::chrono::steady_clock::now() - m_begin > kPatience)
                return refuse(std::string("slipway-agent does not answer on ") + socketPath() +
                              "; see `slipway logs agent`");
            if (connected && m_answered) pause = kFirstRetry;
            pollfd signals{m_signals, POLLIN, 0};
            if (::poll(&signals, 1, static_cast<int>(pause.count())) > 0) return EXIT_SUCCESS;
            pause = std::min(pause * 2, kLastRetry);
        }
    }

private:
    enum class Ended { Signal, Refused, AgentGone };

    static const char* socketPath()
    {
        const char* path = std::getenv("SLIPWAY_PORTS_SOCKET");
        return path ? path : kPortsSocket;
    }

    bool connectOnce()
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socketPath(), sizeof address.sun_path - 1);
        m_agent = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(m_agent, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
            return true;
        ::close(m_agent);
        return false;
    }

    Ended serve()
    {
        std::string answer;
        while (true) {
            pollfd ready[] = {{m_signals, POLLIN, 0}, {m_agent, POLLIN, 0}};
            if (::poll(ready, 2, -1) < 0) continue;
            if (ready[0].revents) return sayGoodbye();
            char bytes[4096];
            ssize_t count = ::read(m_agent, bytes, sizeof bytes);
            if (count < 0 && errno == EINTR) continue;
            if (count > 0) answer.append(bytes, static_cast<std::size_t>(count));
            if (m_answered) {
                if (count <= 0) return Ended::AgentGone;
                continue;
            }
            bool refused = answer.starts_with(kRefused);
            if (answer == kGranted || (refused && count <= 0)) {
                writeAll(kAnswerFd, answer);
                ::close(kAnswerFd);
                m_answered = true;
                if (refused) return Ended::Refused;
            } else if (count <= 0) {
                return Ended::AgentGone;
            }
        }
    }

    Ended sayGoodbye()
    {
        signalfd_siginfo info{};
        if (::read(m_signals, &info, sizeof info) < 0) info.ssi_signo = SIGTERM;
        auto word = info.ssi_signo == SIGINT ? kWithdrawWord : kLeaveWord;
        writeAll(m_agent, std::string(word) + "\n");
        return Ended::Signal;
    }

    std::string m_port;
    int m_signals;
    int m_agent = -1;
    std::chrono::steady_clock::time_point m_begin = std::chrono::steady_clock::now();
    bool m_answered = false;
};

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    std::vector<std::string_view> arguments(argv + 1, argv + argc);
    auto port = slipway::parseArguments(arguments);
    if (auto* wrong = std::get_if<std::string>(&port))
        return slipway::refuse("slipway-port-proxy: " + *wrong);
    return slipway::PortProxy(std::get<slipway::ClaimedPort>(port)).run();
}
