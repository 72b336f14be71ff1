#include "shared/tunnel/dialer.h"

namespace slipway {
namespace {

v1::ConnectService::Address addressOf(const std::string& address, std::uint16_t port)
{
    v1::ConnectService::Address to;
    to.set_address(address);
    to.set_port(port);
    return to;
}

}  // namespace

v1::StreamHello helloEngine()
{
    v1::StreamHello hello;
    hello.mutable_engine();
    return hello;
}

v1::StreamHello helloControl()
{
    v1::StreamHello hello;
    hello.mutable_control();
    return hello;
}

v1::StreamHello helloPark()
{
    v1::StreamHello hello;
    hello.mutable_park();
    return hello;
}

v1::StreamHello helloShare(std::uint32_t channel)
{
    v1::StreamHello hello;
    hello.mutable_share()->set_channel(channel);
    return hello;
}

v1::StreamHello helloConnectTcp(const std::string& address, std::uint16_t port)
{
    v1::StreamHello hello;
    *hello.mutable_connect()->mutable_tcp() = addressOf(address, port);
    return hello;
}

v1::StreamHello helloConnectUdp(const std::string& address, std::uint16_t port)
{
    v1::StreamHello hello;
    *hello.mutable_connect()->mutable_udp() = addressOf(address, port);
    return hello;
}

}  // namespace slipway
