#include "linux-vm-agent/fuse_relay/device.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "shared/core/log.h"

namespace slipway {

void writeToDevice(int device, fuse::Bytes message)
{
    ssize_t count = 0;
    do {
        count = ::write(device, message.data(), message.size());
    } while (count < 0 && errno == EINTR);
    // ENOENT: who asked has gone, or what was invalidated is not cached.
    if (count >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ENODEV) return;
    int error = errno;
    fuse::Body body(message);
    auto header = body.take<fuse::OutHeader>();
    log::warn("files: the kernel refuses answer {} ({} bytes, {}): {}", header.unique, header.len,
              header.error, std::strerror(error));
}

}  // namespace slipway
