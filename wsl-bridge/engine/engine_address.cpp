#include "wsl-bridge/engine/engine_address.h"

#include <charconv>

#include <fmt/format.h>

#include "shared/net/docker_ports.h"

namespace slipway {
namespace {

constexpr std::string_view kForms =
    "tcp://HOST:2376 (with TLS), tcp://HOST:2375 (in the open), HOST:PORT or unix:///PATH";

tl::unexpected<Error> failAddress(std::string_view text, std::string_view why)
{
    return fail(Code::InvalidArgument,
                fmt::format("\"{}\" is no engine's address: {}; it is {}", text, why, kForms));
}

// "host", "host:1", "1.2.3.4:1", "::1", "[::1]", "[::1]:1"
struct HostAndPort {
    std::string_view host;
    std::string_view port;
    bool hasPort = false;
};

HostAndPort split(std::string_view text)
{
    std::size_t after = 0;
    HostAndPort parts{text, {}, false};
    if (text.starts_with('[') && text.find(']') != text.npos) {
        after = text.find(']') + 1;
        parts.host = text.substr(1, after - 2);
        if (after < text.size() && text[after] != ':') parts.host = {};
    } else {
        after = text.find(':');
        if (after != text.rfind(':')) return parts;  // IPv6 without brackets.
        parts.host = text.substr(0, after);
    }
    if (after >= text.size()) return parts;
    parts.hasPort = true;
    parts.port = text.substr(after + 1);
    return parts;
}

}  // namespace

bool EngineAddress::isLoopback() const
{
    return !isTcp() || host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<EngineAddress> parseEngineAddress(std::string_view text)
{
    std::string_view rest = text;
    if (rest.starts_with("unix://")) {
        rest.remove_prefix(7);
        if (!rest.starts_with('/')) return failAddress(text, "the path must be absolute");
        return EngineAddress{.socket = rest};
    }
    if (rest.starts_with("npipe://")) return failAddress(text, "named pipes are for Windows alone");
    if (rest.starts_with("tcp://")) rest.remove_prefix(6);
    if (rest.find("://") != rest.npos) return failAddress(text, "its scheme is not known");
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find_first_of("/?#@ \t") != rest.npos) return failAddress(text, "HOST holds too much");
    HostAndPort parts = split(rest);
    if (parts.host.empty()) return failAddress(text, "it names no host");
    EngineAddress address{.host = std::string(parts.host), .port = kDockerPort};
    if (!parts.hasPort) return address;
    const char* end = parts.port.data() + parts.port.size();
    auto read = std::from_chars(parts.port.data(), end, address.port);
    if (read.ec != std::errc() || read.ptr != end || address.port == 0)
        return failAddress(text, fmt::format("{} is no port", parts.port));
    return address;
}

std::string toText(const EngineAddress& address)
{
    if (!address.isTcp()) return "unix://" + address.socket.string();
    bool ipv6 = address.host.find(':') != std::string::npos;
    return ipv6 ? fmt::format("tcp://[{}]:{}", address.host, address.port)
                : fmt::format("tcp://{}:{}", address.host, address.port);
}

}  // namespace slipway
