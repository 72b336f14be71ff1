#include "linux-vm-agent/stream_target.h"

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

constexpr std::uint32_t kMaxPort = 65535;

}  // namespace

TargetAttempt connectTarget(Loop& loop, const v1::StreamHello& hello, SocketDone done)
{
    if (hello.has_engine()) return {connectUnixSocket(kEngineSocket), nullptr};
    const v1::ConnectService& connect = hello.connect();
    if (connect.target_case() == v1::ConnectService::kUnixPath)
        return {connectUnixSocket(connect.unix_path()), nullptr};
    const auto& to = connect.has_udp() ? connect.udp() : connect.tcp();
    if (to.port() > kMaxPort)
        return {fail(Code::InvalidArgument, fmt::format("no port: {}", to.port())), nullptr};
    auto port = static_cast<std::uint16_t>(to.port());
    if (connect.has_udp()) return {connectUdpSocket(to.address(), port), nullptr};
    return {std::nullopt, connectTcpSocket(loop, to.address(), port, std::move(done))};
}

}  // namespace slipway
