// What the streams `engine` and `connect` lead to in the machine.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shared/io/connect_socket.h"
#include "shared/proto/agent.pb.h"

namespace slipway {

// One of the two: unix and UDP sockets connect at once.
struct TargetAttempt {
    std::optional<Result<Descriptor>> now;
    std::unique_ptr<Connecting> later;
};
// Whether a container publishes what listens there. The agent connects to nothing else.
using IsPublished =
    std::function<bool(std::string_view protocol, const std::string& address, std::uint16_t port)>;
TargetAttempt connectTarget(Loop& loop, const v1::StreamHello& hello,
                            const IsPublished& isPublished, SocketDone done);

}  // namespace slipway
