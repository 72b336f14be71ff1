// The endpoint over TCP, for clients that can't use its socket: an option, off by default.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "shared/io/uv_stream.h"
#include "wsl-bridge/settings/settings.h"

namespace slipway {

// Listens until it is destroyed. With TLS only those who show a certificate of `certificates`'
// authority get as far as a request; without, everybody on this host does.
class TcpEndpoint {
public:
    virtual ~TcpEndpoint() = default;

    // `serve` gets each client, inside TLS if there is any. Refuses what would open the endpoint to
    // other hosts without TLS. A port that is taken is an error.
    using Serve = std::function<void(StreamPtr)>;
    static Result<std::unique_ptr<TcpEndpoint>> listen(Loop& loop, const TcpSettings& settings,
                                                       const std::filesystem::path& certificates,
                                                       Serve serve);
    virtual std::uint16_t port() const = 0;
};

std::string toText(const TcpSettings& settings);  // As docker takes it: tcp://127.0.0.1:2376

}  // namespace slipway
