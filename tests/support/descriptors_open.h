// How many descriptors a process has open, for tests of what is given back.
#pragma once

#include <iterator>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace slipway::test {

inline int descriptorsOpen(pid_t pid = ::getpid())
{
    std::filesystem::directory_iterator open("/proc/" + std::to_string(pid) + "/fd");
    return static_cast<int>(std::distance(begin(open), end(open)));
}

}  // namespace slipway::test
