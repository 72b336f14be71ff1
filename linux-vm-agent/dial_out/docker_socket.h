// The socket that containers get for /var/run/docker.sock.
#pragma once

#include <filesystem>
#include <memory>

#include "linux-vm-agent/dial_out/outbound_clients.h"
#include "shared/io/unix_acceptor.h"

namespace slipway {

// Each connection is led to the bridge's endpoint, so that a `docker run -v` in a container means
// the same host paths. Who can't be led there gets a 503 that says why. Lives as long as `clients`.
Result<std::unique_ptr<UnixAcceptor>> serveDockerSocket(Loop& loop, OutboundClients& clients,
                                                        const std::filesystem::path& socket);

}  // namespace slipway
