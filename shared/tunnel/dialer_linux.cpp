#include "shared/tunnel/dialer.h"

#include "shared/io/connect_socket.h"

namespace slipway {
namespace {

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
        if (hello.has_park()) hello.set_takes_socket(m_takesSockets);
        return std::make_unique<UnixDialing>(m_loop, connectUnixSocket(m_path), m_token,
                                             std::move(hello), std::move(done));
    }

    DialingPtr dial(v1::StreamHello hello, StreamDone done) override
    {
        hello.set_takes_socket(m_takesSockets && leadsToSocket(hello));
        Gone gone = goneOf(hello);
        return dialSocket(std::move(hello), [&loop = m_loop, gone,
                                             done = std::move(done)](Result<Descriptor> socket) {
            auto report = done;
            if (!socket) return report(tl::unexpected(socket.error()));
            report(adoptSocket(loop, *std::move(socket), gone));
        });
    }

    void takeSockets(bool takes) override { m_takesSockets = takes; }

private:
    static bool leadsToSocket(const v1::StreamHello& hello)
    {
        return hello.has_engine() || hello.has_connect();
    }

    Loop& m_loop;
    std::filesystem::path m_path;
    Token m_token;
    bool m_takesSockets = false;
};

}  // namespace

std::unique_ptr<Dialer> unixDialer(Loop& loop, std::filesystem::path socket, const Token& token)
{
    return std::make_unique<UnixDialer>(loop, std::move(socket), token);
}

}  // namespace slipway
