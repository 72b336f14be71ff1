#include "shared/io/connect_socket.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

namespace slipway {
namespace {

Descriptor newSocket(int family)
{
    return Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// The socket turns writable when the attempt is over, and SO_ERROR says how it went (connect(2)).
class TcpConnecting final : public Connecting {
public:
    TcpConnecting(Loop& loop, std::string what, SocketDone done)
        : m_loop(loop), m_what(std::move(what)), m_done(std::move(done))
    {
    }
    ~TcpConnecting() override
    {
        if (m_poll) uv_poll_stop(m_poll.get());  // Before the descriptor is closed.
    }

    void begin(const sockaddr_storage& address)
    {
        m_socket = newSocket(address.ss_family);
        socklen_t length =
            address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        if (!m_socket ||
            (::connect(m_socket.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0 &&
             errno != EINPROGRESS))
            return failLater(errno);
        m_poll.reset(new uv_poll_t{});
        CHECK(uv_poll_init(m_loop.uv(), m_poll.get(), m_socket.get()) == 0);
        m_poll->data = this;
        uv_poll_start(m_poll.get(), UV_WRITABLE, [](uv_poll_t* handle, int, int) {
            if (handle->data) static_cast<TcpConnecting*>(handle->data)->ready();
        });
    }

    void failLater(int error)
    {
        m_loop.post(m_alive.wrap([this, error] { finish(failErrno(m_what, error)); }));
    }

private:
    void ready()
    {
        int error = 0;
        socklen_t length = sizeof error;
        ::getsockopt(m_socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
        uv_poll_stop(m_poll.get());
        m_poll.reset();
        if (error) return finish(failErrno(m_what, error));
        finish(std::move(m_socket));
    }

    void finish(Result<Descriptor> socket)
    {
        auto done = std::move(m_done);
        done(std::move(socket));
    }

    Loop& m_loop;
    std::string m_what;
    SocketDone m_done;
    Descriptor m_socket;
    UvHandle<uv_poll_t> m_poll;
    Alive m_alive;
};

}  // namespace

Result<Descriptor> connectUnixSocket(const std::filesystem::path& path)
{
    std::string what = fmt::format("connect to {}", path.string());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.string().size() > kMaxUnixPathBytes) return failErrno(what, ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.string().size());
    Descriptor socket = newSocket(AF_UNIX);
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return failErrno(what, errno);
    return socket;
}

Result<SocketPair> makeSocketPair()
{
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return failErrno("make a pair of sockets", errno);
    return SocketPair{Descriptor(ends[0]), Descriptor(ends[1])};
}

void resetOnClose(const Descriptor& socket)
{
    linger atOnce{1, 0};  // socket(7)
    ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &atOnce, sizeof atOnce);
}

std::unique_ptr<Connecting> connectTcpSocket(Loop& loop, const std::string& address,
                                             std::uint16_t port, SocketDone done)
{
    auto connecting = std::make_unique<TcpConnecting>(
        loop, fmt::format("connect to {}:{}", address, port), std::move(done));
    sockaddr_storage storage{};
    bool numeric =
        uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage)) == 0 ||
        uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage)) == 0;
    if (numeric)
        connecting->begin(storage);
    else
        connecting->failLater(EINVAL);
    return connecting;
}

}  // namespace slipway
