#include "shared/io/descriptor.h"

#include <unistd.h>

namespace slipway {

void Descriptor::reset(int fd)
{
    if (m_fd >= 0) ::close(m_fd);
    m_fd = fd;
}

}  // namespace slipway
