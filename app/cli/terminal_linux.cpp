#include "app/cli/terminal.h"

#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

namespace slipway {
namespace {

std::size_t columnsOf(int fd)
{
    constexpr std::size_t kOfOneThatDoesNotSay = 80;
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col ? size.ws_col : kOfOneThatDoesNotSay;
}

}  // namespace

bool stdinIsTerminal()
{
    return ::isatty(STDIN_FILENO) == 1;
}

std::size_t stdoutColumns()
{
    return columnsOf(STDOUT_FILENO);
}
std::size_t stderrColumns()
{
    return columnsOf(STDERR_FILENO);
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
