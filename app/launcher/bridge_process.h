// Whether a bridge runs, whether or not it answers.
#pragma once

#include <optional>

#include <sys/types.h>

#include "shared/paths/home.h"

namespace slipway {

// By run/bridge.lock, which a home's one bridge holds for as long as it lives. The pid is 0 where
// it can't be told. None: no bridge runs.
std::optional<pid_t> bridgeProcess(const Home& home);

}  // namespace slipway
