#include "shared/io/unix_acceptor.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/io/uv_stream.h"

namespace slipway {

Result<std::unique_ptr<UnixAcceptor>> UnixAcceptor::listen(Loop& loop, std::filesystem::path path,
                                                           int mode, Accepted accepted)
{
    auto what = fmt::format("listen on {}", path.string());
    if (path.string().size() > kMaxUnixPathBytes) return failErrno(what, ENAMETOOLONG);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.string().size());
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failErrno(what, errno);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
        ::chmod(path.c_str(), static_cast<mode_t>(mode)) < 0)
        return failErrno(what, errno);
    TRY_VOID(giveToFolderOwner(path));
    if (::listen(socket.get(), SOMAXCONN) < 0) return failErrno(what, errno);
    return std::unique_ptr<UnixAcceptor>(
        new UnixAcceptor(loop, std::move(path), std::move(socket), std::move(accepted)));
}

UnixAcceptor::UnixAcceptor(Loop& loop, std::filesystem::path path, Descriptor socket,
                           Accepted accepted)
    : m_path(std::move(path)),
      m_acceptor(loop, m_path.string(), std::move(socket), std::move(accepted))
{
}

UnixAcceptor::~UnixAcceptor()
{
    std::error_code ignored;
    std::filesystem::remove(m_path, ignored);
}

}  // namespace slipway
