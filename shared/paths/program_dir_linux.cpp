#include "shared/paths/program_dir.h"

namespace slipway {

std::filesystem::path programDir()
{
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace slipway
