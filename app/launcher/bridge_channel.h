// The way to the bridge of one Slipway.
#pragma once

#include <memory>

#include <grpcpp/channel.h>

#include "shared/paths/home.h"

namespace slipway {

// Connects when it is first used, and again by itself, at most a second after the bridge is back. A
// call while no bridge listens fails at once with UNAVAILABLE.
std::shared_ptr<grpc::Channel> bridgeChannel(const Home& home);

}  // namespace slipway
