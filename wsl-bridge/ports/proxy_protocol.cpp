#include "wsl-bridge/ports/proxy_protocol.h"

namespace slipway {
namespace {

using namespace std::string_view_literals;

constexpr auto kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr char kProxied = 0x21;  // Version 2, command PROXY.
constexpr char kTcpIpv4 = 0x11;
constexpr char kTcpIpv6 = 0x21;
constexpr std::size_t kIpv4Bytes = 4;

std::string bigEndian(std::size_t number)
{
    return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

}  // namespace

bool asksForProxyHeader(std::string_view label, std::uint16_t containerPort)
{
    std::string wanted = std::to_string(containerPort);
    while (!label.empty()) {
        std::size_t comma = label.find(',');
        std::string_view one = label.substr(0, comma);
        label.remove_prefix(comma == std::string_view::npos ? label.size() : comma + 1);
        while (one.starts_with(' ')) one.remove_prefix(1);
        while (one.ends_with(' ')) one.remove_suffix(1);
        if (one.ends_with("/tcp")) one.remove_suffix("/tcp"sv.size());
        if (one == wanted) return true;
    }
    return false;
}

std::string proxyHeader(const SocketEnds& connection)
{
    const auto& [client, here] = connection;
    std::string ends =
        client.address + here.address + bigEndian(client.port) + bigEndian(here.port);
    std::string header(kSignature);
    header += kProxied;
    header += client.address.size() == kIpv4Bytes ? kTcpIpv4 : kTcpIpv6;
    return header + bigEndian(ends.size()) + ends;
}

}  // namespace slipway
