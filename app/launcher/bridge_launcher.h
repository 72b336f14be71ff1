// Starts the bridge for the command line and the desktop.
#pragma once

#include <chrono>

#include <grpcpp/channel.h>

#include "shared/paths/home.h"

namespace slipway {

inline constexpr std::chrono::seconds kBridgeAnswersWithin{20};  // As long as it runs.

// Runs the slipway-bridge that lies beside this program, in a session of its own, and waits until
// it answers on `channel`. Blocks for as long. The error quotes what the bridge said on its
// standard error, or else the last lines of its log.
Result<> launchBridge(const Home& home, grpc::Channel& channel);

}  // namespace slipway
