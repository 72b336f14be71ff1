// Starts the bridge for the command line and the desktop.
#pragma once

#include <chrono>

#include <grpcpp/channel.h>

#include "shared/paths/home.h"

namespace slipway {

inline constexpr std::chrono::seconds kBridgeAnswersWithin{5};

// Runs the slipway-bridge that lies beside this program, in a session of its own, and waits until
// it answers on `channel`. Blocks for as long. The error ends with the last lines of the bridge's
// log.
Result<> launchBridge(const Home& home, grpc::Channel& channel);

}  // namespace slipway
