#include "shared/core/open_limit.h"

#include <sys/resource.h>

namespace slipway {

void raiseOpenFileLimit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t maxOpenFiles()
{
    rlimit limit{};
    constexpr std::size_t kPosixLeast = 20;
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur)
                                                   : kPosixLeast;
}

}  // namespace slipway
