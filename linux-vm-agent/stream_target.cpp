#include "linux-vm-agent/stream_target.h"

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

constexpr std::uint32_t kMaxPort = 65535;

}  // namespace

TargetAttempt connectTarget(Loop& loop, const v1::StreamHello& hello,
                            const IsPublished& isPublished, SocketDone done)
{
    if (hello.has_engine()) return {connectUnixSocket(kEngineSocket), nullptr};
    bool udp = hello.connect().has_udp();
    const auto& to = udp ? hello.connect().udp() : hello.connect().tcp();
    auto port = static_cast<std::uint16_t>(to.port());
    if (to.port() > kMaxPort || !isPublished(udp ? "udp" : "tcp", to.address(), port))
        return {fail(Code::PermissionDenied,
                     fmt::format("no container publishes {}:{}", to.address(), to.port())),
                nullptr};
    if (udp) return {connectUdpSocket(to.address(), port), nullptr};
    return {std::nullopt, connectTcpSocket(loop, to.address(), port, std::move(done))};
}

}  // namespace slipway
