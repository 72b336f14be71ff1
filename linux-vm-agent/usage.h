// How much memory a process takes.
#pragma once

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace slipway {

// Its proportional set size, from /proc/PID/smaps_rollup. Nothing if there is no such process.
std::optional<std::uint64_t> pssBytesOf(pid_t pid);

}  // namespace slipway
