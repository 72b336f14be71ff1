#include "linux-vm-agent/dial_out/docker_socket.h"

#include <sys/socket.h>

#include <fmt/format.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr int kOwnerAndGroup = 0660;  // As dockerd's own.

// It fits in the socket, which nothing was written to yet.
void answerUnavailable(Descriptor client, const Error& why)
{
    log::warn("docker socket: {}", why.message);
    auto body = fmt::format("{{\"message\":\"{}\"}}\n", why.message);
    auto answer = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
    ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Result<std::unique_ptr<UnixAcceptor>> serveDockerSocket(Loop& loop, OutboundClients& clients,
                                                        const std::filesystem::path& socket)
{
    return UnixAcceptor::listen(loop, socket, kOwnerAndGroup, [&clients](Descriptor client) {
        v1::DialOut endpoint;
        endpoint.mutable_endpoint();
        clients.lead(std::move(client), endpoint, answerUnavailable);
    });
}

}  // namespace slipway
