#include "shared/tunnel/dialer.h"

namespace slipway {

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
    auto* tcp = hello.mutable_connect()->mutable_tcp();
    tcp->set_address(address);
    tcp->set_port(port);
    return hello;
}

v1::StreamHello helloConnectUdp(const std::string& address, std::uint16_t port)
{
    v1::StreamHello hello;
    auto* udp = hello.mutable_connect()->mutable_udp();
    udp->set_address(address);
    udp->set_port(port);
    return hello;
}

}  // namespace slipway
