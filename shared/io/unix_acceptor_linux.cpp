#include "shared/io/unix_acceptor.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/io/uv_stream.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kPause{200};

}  // namespace

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
      m_socket(std::move(socket)),
      m_accepted(std::move(accepted)),
      m_poll(new uv_poll_t{}),
      m_pause(loop)
{
    CHECK(uv_poll_init(loop.uv(), m_poll.get(), m_socket.get()) == 0);
    m_poll->data = this;
    watch();
}

void UnixAcceptor::watch()
{
    uv_poll_start(m_poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
        if (handle->data) static_cast<UnixAcceptor*>(handle->data)->accept();
    });
}

UnixAcceptor::~UnixAcceptor()
{
    uv_poll_stop(m_poll.get());  // Before the descriptor is closed.
    std::error_code ignored;
    std::filesystem::remove(m_path, ignored);
}

// One a turn: the loop comes back at once while more are waiting.
void UnixAcceptor::accept()
{
    Descriptor client(::accept4(m_socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
        m_failing = false;
        return m_accepted(std::move(client));
    }
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    // The connection stays in the queue, so that the poll would report it again at once, for ever.
    if (!std::exchange(m_failing, true))
        log::warn("accept on {}: {}; tried again every {} ms", m_path.string(),
                  std::strerror(errno), kPause.count());
    uv_poll_stop(m_poll.get());
    m_pause.after(kPause, [this] { watch(); });
}

}  // namespace slipway
