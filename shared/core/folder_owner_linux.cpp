#include "shared/core/folder_owner.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace slipway {

Result<> giveToFolderOwner(const std::filesystem::path& path)
{
    if (::geteuid() != 0) return {};
    struct stat folder {};
    struct stat file {};
    bool seen =
        ::stat(path.parent_path().c_str(), &folder) == 0 && ::lstat(path.c_str(), &file) == 0;
    if (seen && file.st_uid == folder.st_uid) return {};
    if (seen && ::lchown(path.c_str(), folder.st_uid, folder.st_gid) == 0) return {};
    return failErrno(fmt::format("give {} to its folder's owner", path.string()), errno);
}

}  // namespace slipway
