#include "shared/tunnel/dialer.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include <fmt/format.h>

#include "shared/io/uv_stream.h"

namespace slipway {
namespace {

// A unix connect answers at once: it succeeds, or the queue is full (EAGAIN), or nobody listens.
Result<Descriptor> connectNow(const std::string& path)
{
    std::string what = fmt::format("dial {}", path);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return failErrno(what, ENAMETOOLONG);
    std::memcpy(address.sun_path, path.data(), path.size());
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return failErrno(what, errno);
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return failErrno(what, errno);
    return socket;
}

class UnixDialing final : public Dialing {
public:
    UnixDialing(Loop& loop, Result<Descriptor> socket, const Token& token, v1::StreamHello hello,
                DialDone done)
    {
        if (!socket) {
            loop.post(m_alive.wrap([error = socket.error(), done = std::move(done)] {
                auto report = done;  // Outlives this object, which `report` may destroy.
                report(tl::unexpected(error));
            }));
            return;
        }
        m_handshake = greet(loop, *std::move(socket), token, std::move(hello), std::move(done));
    }

private:
    Alive m_alive;
    std::unique_ptr<Handshake> m_handshake;
};

class UnixDialer final : public Dialer {
public:
    UnixDialer(Loop& loop, std::filesystem::path socket, const Token& token)
        : m_loop(loop), m_path(std::move(socket)), m_token(token)
    {
    }

    DialingPtr dialSocket(v1::StreamHello hello, DialDone done) override
    {
        return std::make_unique<UnixDialing>(m_loop, connectNow(m_path.string()), m_token,
                                             std::move(hello), std::move(done));
    }

    DialingPtr dial(v1::StreamHello hello, StreamDone done) override
    {
        return dialSocket(std::move(hello),
                          [&loop = m_loop, done = std::move(done)](Result<Descriptor> socket) {
                              auto report = done;
                              if (!socket) return report(tl::unexpected(socket.error()));
                              report(adoptSocket(loop, *std::move(socket)));
                          });
    }

private:
    Loop& m_loop;
    std::filesystem::path m_path;
    Token m_token;
};

}  // namespace

std::unique_ptr<Dialer> unixDialer(Loop& loop, std::filesystem::path socket, const Token& token)
{
    return std::make_unique<UnixDialer>(loop, std::move(socket), token);
}

}  // namespace slipway
