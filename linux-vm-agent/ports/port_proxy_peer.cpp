#include <cerrno>

#include <sys/socket.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "linux-vm-agent/ports/port_claims.h"

namespace slipway {

Result<> checkIsPortProxy(int socket)
{
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return failErrno("ask for the peer of the ports socket", errno);
    auto refuse = [&peer](std::string_view why) {
        return fail(
            Code::PermissionDenied,
            fmt::format("process {} (user {}) on the ports socket: {}", peer.pid, peer.uid, why));
    };
    if (peer.uid != 0) return refuse("not the machine's root");
    struct stat theirs {};
    struct stat ours {};
    auto theirNamespace = fmt::format("/proc/{}/ns/mnt", peer.pid);
    if (::stat(theirNamespace.c_str(), &theirs) < 0 || ::stat("/proc/self/ns/mnt", &ours) < 0)
        return refuse("its namespace is not to be seen");
    if (theirs.st_ino != ours.st_ino) return refuse("it runs in a container");
    std::error_code failed;
    auto program = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", peer.pid), failed);
    if (!program.filename().string().starts_with("slipway-port-proxy"))  // " (deleted)" may follow.
        return refuse(fmt::format("it runs {}", failed ? failed.message() : program.string()));
    return {};
}

}  // namespace slipway
