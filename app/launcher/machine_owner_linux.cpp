#include "app/launcher/machine_owner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace slipway {

Result<> checkMachineOwner(const Home& home)
{
    struct stat info {};
    bool there = ::stat(home.machineDir().c_str(), &info) == 0;
    if (!there || info.st_uid == ::geteuid()) return {};
    if (info.st_uid == 0)
        return fail(
            Code::PermissionDenied,
            fmt::format("the machine in {} is root's, as it was started with sudo: use sudo "
                        "for this too",
                        home.root.string()));
    return fail(
        Code::PermissionDenied,
        fmt::format("the machine in {} was started without sudo: start it without, or delete "
                    "it first: slipway reset",
                    home.root.string()));
}

bool isRoot()
{
    return ::geteuid() == 0;
}

}  // namespace slipway
