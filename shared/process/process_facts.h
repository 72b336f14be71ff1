// What the system says of any process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

namespace slipway {

bool isRunning(pid_t pid);         // A zombie is not.
std::string programOf(pid_t pid);  // The file name of its program; empty when it does not run.
pid_t parentOf(pid_t pid);         // 0 when it does not run.

// In clock ticks since the boot, field 22 of /proc/<pid>/stat, proc(5): together with the pid it
// names a process for ever. None when it does not run.
std::optional<std::uint64_t> startTimeOf(pid_t pid);

std::uint64_t pssBytesOf(pid_t pid);  // Proportional set size; 0 when it can't be read.
void askToEnd(pid_t pid);

}  // namespace slipway
