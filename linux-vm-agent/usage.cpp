#include "linux-vm-agent/usage.h"

#include <fstream>
#include <string>

#include <fmt/format.h>

namespace slipway {

std::optional<std::uint64_t> pssBytesOf(pid_t pid)
{
    std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
    std::string key;
    std::uint64_t kib = 0;
    while (file >> key) {
        if (key == "Pss:" && file >> kib) return kib * 1024;
        file.ignore(256, '\n');
    }
    return std::nullopt;
}

}  // namespace slipway
