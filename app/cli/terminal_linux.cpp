#include "app/cli/terminal.h"

#include <cstdlib>

#include <unistd.h>

namespace slipway {

bool stdinIsTerminal()
{
    return ::isatty(STDIN_FILENO) == 1;
}
bool stderrIsTerminal()
{
    return ::isatty(STDERR_FILENO) == 1;
}

bool displayIsThere()
{
    for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY"}) {
        const char* set = std::getenv(name);
        if (set && *set) return true;
    }
    return false;
}

}  // namespace slipway
