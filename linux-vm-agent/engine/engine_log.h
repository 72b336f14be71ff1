// The engine's log, which containerd and dockerd append to.
#pragma once

#include <string>

namespace slipway {

// Keeps the engine's log below 10 MB: what there is becomes engine.log.1, in place of the one
// before. Its writers append, so they go on in the emptied file.
void trimEngineLog();

// The reason that the last dockerd gave for not starting; empty if it gave none.
std::string lastStartFailure();

}  // namespace slipway
