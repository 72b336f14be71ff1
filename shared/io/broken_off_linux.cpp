#include "shared/io/broken_off.h"

#include <poll.h>

namespace slipway {

// A direction that has ended shows as POLLRDHUP. POLLHUP says that both have, or that there is no
// connection any more; POLLERR, an error that nobody has read yet (tcp_poll(), unix_poll()).
bool wasBrokenOff(int socket, bool writeClosed)
{
    pollfd state{socket, 0, 0};
    if (::poll(&state, 1, 0) < 0) return false;
    return (state.revents & POLLERR) || ((state.revents & POLLHUP) && !writeClosed);
}

}  // namespace slipway
