// Bare ends of TCP connections over loopback.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/io/connect_socket.h"

namespace slipway::test {

// Listens where `port` is 0; the kernel completes connections, accepted or not.
struct TcpEnd {
    Descriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    socklen_t length = sizeof address;

    explicit TcpEnd(std::uint16_t port)
    {
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    sockaddr* any() { return reinterpret_cast<sockaddr*>(&address); }
};

inline Descriptor connectedTo(std::uint16_t port)
{
    TcpEnd end(port);
    if (::connect(end.socket.get(), end.any(), end.length) != 0) end.socket.reset();
    return std::move(end.socket);
}

class TcpServer {
public:
    TcpServer()
    {
        ::bind(m_end.socket.get(), m_end.any(), m_end.length);
        ::listen(m_end.socket.get(), 8);
        ::getsockname(m_end.socket.get(), m_end.any(), &m_end.length);
    }
    std::uint16_t port() const { return ntohs(m_end.address.sin_port); }
    Descriptor accept() const
    {
        return Descriptor(::accept4(m_end.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }

private:
    TcpEnd m_end{0};
};

}  // namespace slipway::test
