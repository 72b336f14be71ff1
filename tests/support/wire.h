// Raw ends of connections for tests: what a peer wrote, whether it ended, and a Dialer that hands
// them out.
#pragma once

#include <array>
#include <cerrno>
#include <cstdlib>
#include <list>
#include <string>

#include <sys/socket.h>
#include <unistd.h>

#include "shared/io/descriptor.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/dialer.h"

namespace slipway::test {

// One end of a connection, read without blocking.
class Wire {
public:
    explicit Wire(Descriptor socket) : m_socket(std::move(socket)) {}

    // Reads what is there; `got` collects it.
    Wire& poll()
    {
        std::array<char, 65536> buffer;
        for (ssize_t n;
             (n = ::recv(m_socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0;) {
            if (n == 0) {
                ended = true;
                break;
            }
            got.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return *this;
    }
    // How much the peer's buffer took; 0 if it is full, or the peer gone.
    std::size_t sendSome(std::string_view text)
    {
        ssize_t n = ::send(m_socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 ? 0 : static_cast<std::size_t>(n);
    }
    // For texts that fit any buffer.
    bool send(std::string_view text) { return sendSome(text) == text.size(); }
    void closeWrite() { ::shutdown(m_socket.get(), SHUT_WR); }
    void close() { m_socket.reset(); }
    std::string take() { return std::exchange(got, {}); }

    std::string got;
    bool ended = false;

private:
    Descriptor m_socket;
};

struct WirePair {
    Descriptor program;
    Descriptor test;
};

inline WirePair wirePair()
{
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        std::abort();
    return {Descriptor(fds[0]), Descriptor(fds[1])};
}

// Every dial succeeds at once, with a connection whose other end the test holds; or fails with
// `error`.
class WireDialer final : public Dialer {
public:
    explicit WireDialer(Loop& loop) : m_loop(loop) {}

    DialingPtr dialSocket(v1::StreamHello, DialDone) override { std::abort(); }

    DialingPtr dial(v1::StreamHello hello, StreamDone done) override
    {
        hellos.push_back(hello);
        auto dialing = std::make_unique<WireDialing>();
        m_loop.post(dialing->alive.wrap([this, done = std::move(done)] {
            auto report = done;
            if (!error.empty()) return report(fail(Code::Unavailable, error));
            WirePair pair = wirePair();
            wires.emplace_back(std::move(pair.test));
            report(adoptSocket(m_loop, std::move(pair.program)));
        }));
        return dialing;
    }

    std::list<Wire> wires;
    std::list<v1::StreamHello> hellos;
    std::string error;

private:
    struct WireDialing final : Dialing {
        Alive alive;
    };
    Loop& m_loop;
};

}  // namespace slipway::test
