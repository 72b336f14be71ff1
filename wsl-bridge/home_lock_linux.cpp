#include "wsl-bridge/home_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/paths/file_access_as.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> notMade(const fs::path& folder, int errnoValue, const Home& home,
                              const User& user)
{
    auto failed = failErrno(fmt::format("make {}", folder.string()), errnoValue);
    if (errnoValue == EACCES)
        failed.value().message +=
            fmt::format("; {0} must be a folder of {1}'s: as root: install -d -o {1} {0}",
                        home.root.string(), user.name);
    return failed;
}

}  // namespace

Result<> makeHome(const Home& home, const User& user)
{
    FileAccessAs person(user);
    std::error_code failed;
    fs::create_directories(home.root.parent_path(), failed);
    if (failed) return notMade(home.root.parent_path(), failed.value(), home, user);
    for (const fs::path& folder : {home.root, home.runDir(), home.tunnelDir(), home.logDir()})
        if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
            return notMade(folder, errno, home, user);
    return {};
}

Result<HomeLock> HomeLock::take(const Home& home)
{
    std::string path = home.bridgeLock().string();
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file) return failErrno(fmt::format("open {}", path), errno);
    TRY_VOID(giveToFolderOwner(path));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return fail(Code::AlreadyExists, fmt::format("another bridge serves {}: slipway status",
                                                         home.root.string()));
        return failErrno(fmt::format("lock {}", path), errno);
    }
    // For whoever finds it held and gets no answer; a lock that says nothing is as good.
    auto pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(file.get(), 0) != 0 || ::write(file.get(), pid.data(), pid.size()) < 0)
        log::warn("bridge: write {}: {}", path, std::strerror(errno));
    return HomeLock(std::move(file));
}

}  // namespace slipway
