#include "linux-vm-agent/fuse_relay/device.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "shared/core/error.h"
#include "shared/core/log.h"

namespace slipway {

DeviceBuffer::DeviceBuffer()
{
    void* mapped = ::mmap(nullptr, size(), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(mapped != MAP_FAILED);
    m_data = static_cast<std::byte*>(mapped);
}

DeviceBuffer::~DeviceBuffer()
{
    ::munmap(m_data, size());
}

void writeToDevice(int device, fuse::Bytes message)
{
    ssize_t count = 0;
    do {
        count = ::write(device, message.data(), message.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) logRefused(fuse::Body(message).take<fuse::OutHeader>(), errno);
}

void logRefused(const fuse::OutHeader& header, int error)
{
    // ENOENT: who asked has gone, or what was invalidated is not cached.
    if (error == ENOENT || error == ENOTDIR || error == ENODEV) return;
    log::warn("files: the kernel refuses answer {} ({} bytes, {}): {}", header.unique, header.len,
              header.error, std::strerror(error));
}

}  // namespace slipway
