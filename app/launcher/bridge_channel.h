// The way to the bridge of one Slipway.
#pragma once

#include <memory>

#include <grpcpp/channel.h>

#include "shared/paths/home.h"

namespace slipway {

// Connects when it is first used, and again by itself, at most a second after the bridge is back. A
// call while no bridge listens fails at once with UNAVAILABLE. A bridge that listens and is short
// of processor time is given gRPC's 20 s to greet: GRPC_ARG_MIN_RECONNECT_BACKOFF_MS would cut
// that, too.
std::shared_ptr<grpc::Channel> bridgeChannel(const Home& home);

}  // namespace slipway
