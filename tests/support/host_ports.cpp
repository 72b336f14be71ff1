#include "tests/support/host_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "shared/io/descriptor.h"
#include "tests/support/slipway_fixture.h"

namespace slipway::test {
namespace {

sockaddr_in at(const std::string& text, int port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
    return address;
}

Descriptor tcpSocket()
{
    return Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

}  // namespace

int freePort()
{
    Descriptor socket = tcpSocket();
    sockaddr_in address = at("127.0.0.1", 0);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    ::bind(socket.get(), any, length);
    ::getsockname(socket.get(), any, &length);
    return ntohs(address.sin_port);
}

bool listens(int port, const std::string& address)
{
    Descriptor socket = tcpSocket();
    sockaddr_in to = at(address, port);
    return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

bool serves(const std::string& address, int port, const std::string& name)
{
    return eventually([&] {
        auto body = httpGet(address, port);
        return body && *body == name + "\n";
    });
}

}  // namespace slipway::test
