// The user's daemon.json that dockerd has refused in this machine: no later agent hands it over
// again, as every try would restart a good dockerd. A machine that is started anew forgets it.
#pragma once

#include <optional>
#include <string>

#include "shared/core/error.h"

namespace slipway {

struct RefusedKeys {
    std::string daemonJson;
    std::string reason;  // dockerd's own words, one line.
};

std::optional<RefusedKeys> storedRefusedKeys();
Result<> store(const RefusedKeys& refused);

}  // namespace slipway
