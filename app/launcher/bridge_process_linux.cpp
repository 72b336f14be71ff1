#include "app/launcher/bridge_process.h"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <sys/file.h>

#include "shared/io/descriptor.h"

namespace slipway {

std::optional<pid_t> bridgeProcess(const Home& home)
{
    Descriptor file(::open(home.bridgeLock().c_str(), O_RDONLY | O_CLOEXEC));
    // Shared, so that two who ask at once do not take each other for a bridge.
    if (!file || ::flock(file.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return std::nullopt;
    pid_t pid = 0;
    std::ifstream(home.bridgeLock()) >> pid;
    return pid;
}

}  // namespace slipway
