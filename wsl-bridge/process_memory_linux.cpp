#include "wsl-bridge/process_memory.h"

#include <fstream>
#include <string>

namespace slipway {

// /proc/<pid>/smaps_rollup, proc(5): "Pss:  12345 kB".
std::uint64_t ownPssBytes()
{
    std::ifstream rollup("/proc/self/smaps_rollup");
    for (std::string word; rollup >> word;) {
        std::uint64_t kib = 0;
        if (word == "Pss:" && rollup >> kib) return kib * 1024;
    }
    return 0;
}

}  // namespace slipway
