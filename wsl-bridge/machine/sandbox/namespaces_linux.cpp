#include "wsl-bridge/machine/sandbox/namespaces.h"

#include <cerrno>
#include <csignal>
#include <sstream>

#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxMessageBytes = 65536;
constexpr const char* kMapped = "mapped";

Error whyNoNamespaces(int errnoValue)
{
    auto error = failErrno("make namespaces", errnoValue).value();
    if (errnoValue == EPERM) {
        error.message +=
            "; this looks like a container without CAP_SYS_ADMIN or a kernel that forbids user "
            "namespaces: start that container with --privileged, or allow them "
            "(sysctl kernel.unprivileged_userns_clone=1)";
    } else if (errnoValue == ENOSPC) {
        error.message += "; allow more of them: sysctl user.max_user_namespaces=15000";
    } else if (errnoValue == EINVAL || errnoValue == ENOSYS) {
        error.message +=
            "; this kernel lacks them (gVisor, or an old one): run Slipway on a Linux of "
            "its own";
    }
    return error;
}

// Errors cross the line as "<code> <message>".
std::string toMessage(const Error& error)
{
    return fmt::format("{} {}", static_cast<int>(error.code), error.message);
}

struct Ends {
    Line ours;
    Line theirs;
};
Result<Ends> makeLine()
{
    int sockets[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        return failErrno("make a line to the child", errno);
    }
    return Ends{Line(Descriptor(sockets[0])), Line(Descriptor(sockets[1]))};
}

Result<NewProcess> cloneWith(std::uint64_t flags, int exitSignal, const std::optional<UserMap>& map,
                             const ChildBody& body)
{
    TRY(auto ends, makeLine());
    int pidfd = -1;
    clone_args args{};
    args.flags = flags | CLONE_PIDFD | (map ? CLONE_NEWUSER : 0);
    args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
    args.exit_signal = static_cast<std::uint64_t>(exitSignal);
    auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid < 0) return tl::unexpected<Error>(whyNoNamespaces(errno));
    if (pid == 0) {
        // Only the child's end stays open here, so that the maker's death is seen.
        {
            Line closed = std::move(ends.ours);
        }
        auto begin = map ? ends.theirs.receive() : std::string(kMapped);
        if (!begin || *begin != kMapped) ::_exit(1);
        auto done = body(ends.theirs);
        if (!done) (void)ends.theirs.send(toMessage(done.error()));
        ::_exit(done ? 0 : 1);
    }
    NewProcess process{pid, Descriptor(pidfd), std::move(ends.ours)};
    if (map) {
        auto mapped = applyUserMap(*map, pid);
        if (mapped) mapped = process.line.send(kMapped);
        if (!mapped) {
            ::kill(pid, SIGKILL);
            return tl::unexpected<Error>(std::move(mapped).error());
        }
    }
    return process;
}

Result<> outcomeOf(const NewProcess& process)
{
    TRY(auto message, process.line.receive());
    int status = 0;
    ::waitpid(process.pid, &status, 0);
    if (!message.empty()) return tl::unexpected<Error>(errorFrom(message));
    if (status != 0)
        return fail(Code::Internal, "a child in namespaces of its own ended unexpectedly");
    return {};
}

}  // namespace

Error errorFrom(const std::string& message)
{
    std::istringstream in(message);
    int code = 0;
    in >> code;
    in.get();
    std::string text;
    std::getline(in, text, '\0');
    return {static_cast<Code>(code), text};
}

Result<> Line::send(const std::string& message) const
{
    if (::send(m_socket.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
        return failErrno("talk to the child", errno);
    }
    return {};
}

Result<std::string> Line::receive() const
{
    std::string message(kMaxMessageBytes, '\0');
    auto count = ::recv(m_socket.get(), message.data(), message.size(), 0);
    if (count < 0) return failErrno("listen to the child", errno);
    message.resize(static_cast<std::size_t>(count));
    return message;
}

Result<NewProcess> cloneInto(std::uint64_t flags, const std::optional<UserMap>& map,
                             const ChildBody& body)
{
    return cloneWith(flags | CLONE_PARENT, 0, map, body);
}

Result<> runAsMappedRoot(const std::optional<UserMap>& map, const std::function<Result<>()>& body)
{
    if (!map) return body();
    auto inChild = [&body, parent = ::getpid()](const Line&) {
        dieWith(parent);
        return body();
    };
    TRY(auto process, cloneWith(0, SIGCHLD, map, inChild));
    return outcomeOf(process);
}

Result<> tryNamespaces(std::uint64_t flags, const std::function<Result<>()>& body,
                       const std::optional<UserMap>& map)
{
    TRY(auto process, cloneWith(flags, SIGCHLD, map, [&body](const Line&) { return body(); }));
    return outcomeOf(process);
}

}  // namespace slipway
