// `slipway logs`: the logs of all programs of one Slipway, merged by time.
#pragma once

#include <cstddef>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "shared/paths/home.h"

namespace slipway {

struct LogsOptions {
    std::vector<std::string> names;  // Of bridge, agent, engine; none: all three, each line named.
    bool follow = false;             // Goes on until the process is ended.
    std::optional<std::size_t> lines;  // Only so many of those there are.
};
Result<> printLogs(const Home& home, const LogsOptions& options, std::ostream& out);

}  // namespace slipway
