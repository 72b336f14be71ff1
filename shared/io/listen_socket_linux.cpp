#include "shared/io/listen_socket.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fmt/format.h>

namespace slipway {
namespace {

SocketEnd toEnd(const sockaddr_storage& storage)
{
    if (storage.ss_family == AF_INET6) {
        auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
        return {std::string(reinterpret_cast<const char*>(&address.sin6_addr), 16),
                ntohs(address.sin6_port)};
    }
    auto& address = reinterpret_cast<const sockaddr_in&>(storage);
    return {std::string(reinterpret_cast<const char*>(&address.sin_addr), 4),
            ntohs(address.sin_port)};
}

}  // namespace

Result<Descriptor> listenTcpSocket(const std::string& address, std::uint16_t port)
{
    bool ipv6 = address.find(':') != std::string::npos;
    std::string what = ipv6 ? fmt::format("bind [{}]:{}", address, port)
                            : fmt::format("bind {}:{}", address, port);
    sockaddr_storage at{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(at);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(at);
    at.ss_family = ipv6 ? AF_INET6 : AF_INET;
    (ipv6 ? v6.sin6_port : v4.sin_port) = htons(port);
    void* place = ipv6 ? static_cast<void*>(&v6.sin6_addr) : &v4.sin_addr;
    if (::inet_pton(at.ss_family, address.c_str(), place) != 1) return failErrno(what, EINVAL);
    Descriptor socket(::socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return failErrno(what, errno);
    int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ipv6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    socklen_t size = ipv6 ? sizeof v6 : sizeof v4;
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&at), size) < 0 ||
        ::listen(socket.get(), SOMAXCONN) < 0)
        return failErrno(what, errno);
    return socket;
}

Result<SocketEnds> endsOf(const Descriptor& socket)
{
    sockaddr_storage peer{};
    sockaddr_storage own{};
    socklen_t peerSize = sizeof peer;
    socklen_t ownSize = sizeof own;
    if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &peerSize) < 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &ownSize) < 0)
        return failErrno("ask for a connection's ends", errno);
    return SocketEnds{toEnd(peer), toEnd(own)};
}

}  // namespace slipway
