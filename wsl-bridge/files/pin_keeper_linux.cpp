#include "wsl-bridge/files/pin_keeper.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/core/log.h"
#include "shared/io/descriptor_passing.h"
#include "shared/process/child.h"
#include "wsl-bridge/files/linux_handle.h"
#include "shared/core/open_limit.h"

namespace slipway {
namespace {

enum class Word : std::uint32_t { Keep = 1, Release, ReleaseAll, List };

// A Keep has a descriptor along. A List is answered by a Keep for each, and a List.
struct Message {
    Word word = Word::List;
    std::uint32_t padding = 0;
    std::uint64_t node = 0;
};

constexpr int kListener = 3;
constexpr int kFirstClientMs = 10'000;

std::string_view bytesOf(const Message& message)
{
    return {reinterpret_cast<const char*>(&message), sizeof message};
}

bool send(int socket, const Message& message, int descriptor = -1)
{
    if (descriptor >= 0)
        return sendWithDescriptor(socket, bytesOf(message), descriptor) == sizeof message;
    return ::send(socket, &message, sizeof message, MSG_NOSIGNAL) == sizeof message;
}

// False: the other end has gone, or says what is none.
bool receive(int socket, Message& message, Descriptor& along)
{
    for (;;) {
        ssize_t count = receiveWithDescriptor(
            socket, {reinterpret_cast<char*>(&message), sizeof message}, along);
        if (count == sizeof message) return true;
        // There was no room for what came along: it is not kept.
        if (count < 0 && (errno == EINTR || errno == EMFILE)) continue;
        return false;
    }
}

class LinuxPinKeeper final : public PinKeeper {
public:
    LinuxPinKeeper(std::filesystem::path folder, std::filesystem::path program)
        : m_socketPath(folder / "keeper.sock"), m_program(std::move(program))
    {
    }

    void keep(std::uint64_t node, const Handle& file) override
    {
        if (m_program.empty()) return;
        // One that was about to end when it was found has ended by now.
        bool kept = tell(node, file) || (start() && tell(node, file));
        if (kept) m_kept.insert(node);
    }

    void release(std::uint64_t node) override
    {
        if (m_kept.erase(node) > 0) send(m_socket.get(), {Word::Release, 0, node});
    }

    void releaseAll() override
    {
        if (!m_kept.empty()) send(m_socket.get(), {Word::ReleaseAll, 0, 0});
        m_kept.clear();
    }

    std::vector<std::pair<std::uint64_t, HandlePtr>> takeOver() override
    {
        std::vector<std::pair<std::uint64_t, HandlePtr>> left;
        m_socket = connected();
        if (!m_socket || !send(m_socket.get(), {})) return left;
        Message message;
        Descriptor along;
        while (receive(m_socket.get(), message, along) && message.word == Word::Keep) {
            if (!along) continue;
            m_kept.insert(message.node);
            left.emplace_back(message.node, std::make_shared<LinuxHandle>(std::move(along)));
            along = Descriptor();
        }
        return left;
    }

private:
    sockaddr_un address() const
    {
        sockaddr_un made{};
        made.sun_family = AF_UNIX;
        m_socketPath.string().copy(made.sun_path, sizeof made.sun_path - 1);
        return made;
    }
    bool tell(std::uint64_t node, const Handle& file)
    {
        if (m_socket && send(m_socket.get(), {Word::Keep, 0, node}, fdOf(file))) return true;
        m_socket.reset();
        m_kept.clear();
        return false;
    }
    static Descriptor newSocket()
    {
        return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    }
    Descriptor connected() const
    {
        auto at = address();
        Descriptor made = newSocket();
        if (::connect(made.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) return {};
        timeval most{1, 0};  // For a keeper that does not follow.
        ::setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
        return made;
    }

    bool start()
    {
        auto at = address();
        if (m_socketPath.string().size() >= sizeof at.sun_path)
            return warn(m_socketPath.string() + " is too long for a socket");
        Descriptor listener = newSocket();
        ::unlink(m_socketPath.c_str());
        if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
            ::listen(listener.get(), 1) != 0)
            return warn(std::strerror(errno));
        Command command;
        command.program = m_program;
        command.args = {"keep-files"};
        command.newSession = true;
        command.fds = {{listener.get(), kListener}};
        auto child = Child::start(command);
        if (!child) return warn(child.error().message);
        m_child = *std::move(child);
        m_socket = connected();
        return m_socket ? true : warn(std::strerror(errno));
    }

    bool warn(const std::string& why)
    {
        log::warn("files: what is open without a name would not outlive this bridge: {}", why);
        return false;
    }

    const std::filesystem::path m_socketPath;
    const std::filesystem::path m_program;
    Descriptor m_socket;
    std::optional<Child> m_child;
    std::set<std::uint64_t> m_kept;
};

}  // namespace

std::unique_ptr<PinKeeper> pinKeeper(std::filesystem::path folder, std::filesystem::path program)
{
    return std::make_unique<LinuxPinKeeper>(std::move(folder), std::move(program));
}

int pinKeeperMain()
{
    ::prctl(PR_SET_NAME, "slipway-keeper");
    raiseOpenFileLimit();
    std::map<std::uint64_t, Descriptor> held;
    int patience = kFirstClientMs;
    for (;;) {
        pollfd ready{kListener, POLLIN, 0};
        if (::poll(&ready, 1, patience) == 0) return 0;
        Descriptor bridge(::accept4(kListener, nullptr, nullptr, SOCK_CLOEXEC));
        if (!bridge) continue;
        Message message;
        Descriptor along;
        while (receive(bridge.get(), message, along)) {
            if (message.word == Word::Keep && along) held[message.node] = std::move(along);
            if (message.word == Word::Release) held.erase(message.node);
            if (message.word == Word::ReleaseAll) held.clear();
            if (message.word == Word::List) {
                for (const auto& [node, file] : held)
                    send(bridge.get(), {Word::Keep, 0, node}, file.get());
                send(bridge.get(), {});
            }
            along = Descriptor();
        }
        if (held.empty()) return 0;
        patience = -1;
    }
}

}  // namespace slipway
