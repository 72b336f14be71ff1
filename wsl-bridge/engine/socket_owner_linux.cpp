#include "wsl-bridge/engine/socket_owner.h"

#include <cerrno>

#include <unistd.h>

#include <fmt/format.h>

namespace slipway {

Result<> giveSocketTo(const std::filesystem::path& socket, const User& user)
{
    if (::geteuid() == user.uid) return {};
    if (::lchown(socket.c_str(), user.uid, user.gid) == 0) return {};
    return failErrno(fmt::format("give {} to {}", socket.string(), user.name), errno);
}

}  // namespace slipway
