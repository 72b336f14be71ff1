#include "app/cli/file_id.h"

#include <sys/stat.h>

namespace slipway {

std::optional<FileId> fileId(const std::filesystem::path& path)
{
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return FileId{found.st_dev, found.st_ino};
}

}  // namespace slipway
