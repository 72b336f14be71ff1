// The process that raises inotify events in the machine: it repeats in the share what the host has
// done.
#pragma once

#include <filesystem>

namespace slipway {

// `slipway-agent inject --mount MOUNTPOINT`. Its standard input is a socket to the agent, on which
// it takes Notify::Inject messages and sends InjectorReady and InjectionDone (shared/fuse/wire.h).
// Returns the exit code, when the agent has gone.
int injectorMain(const std::filesystem::path& mountPoint);

}  // namespace slipway
