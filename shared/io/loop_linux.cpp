#include <csignal>

#include "shared/io/loop.h"

namespace slipway {

void ignoreBrokenPipes()
{
    std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace slipway
