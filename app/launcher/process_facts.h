// What the system says of a process that is not our child.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace slipway {

bool isRunning(pid_t pid);         // A zombie is not.
std::string programOf(pid_t pid);  // The file name of its program; empty when it does not run.
std::uint64_t startTimeOf(
    pid_t pid);  // In clock ticks since the boot, proc(5); 0 when it does not run.
std::uint64_t pssBytesOf(pid_t pid);  // Proportional set size; 0 when it can't be read.
void askToEnd(pid_t pid);

}  // namespace slipway
