// What the streams `engine` and `connect` lead to in the machine.
#pragma once

#include <memory>
#include <optional>

#include "shared/io/connect_socket.h"
#include "shared/proto/agent.pb.h"

namespace slipway {

// One of the two: unix and UDP sockets connect at once.
struct TargetAttempt {
    std::optional<Result<Descriptor>> now;
    std::unique_ptr<Connecting> later;
};
TargetAttempt connectTarget(Loop& loop, const v1::StreamHello& hello, SocketDone done);

}  // namespace slipway
