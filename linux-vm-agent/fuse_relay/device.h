// Reading from and writing to /dev/fuse.
#pragma once

#include <cstddef>

#include "shared/fuse/request.h"

namespace slipway {

// Room for a request. Its pages are there from the beginning, and a fork does not make them copied
// ones: where a process is killed while the kernel fetches a page for a request, that request ends
// with EIO (Linux, fs/fuse/dev.c, fuse_dev_do_read).
class DeviceBuffer {
public:
    DeviceBuffer();
    ~DeviceBuffer();
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;

    std::byte* data() const { return m_data; }
    std::size_t size() const { return fuse::kMaxMessageBytes; }

private:
    std::byte* m_data;
};

// What the kernel refuses is logged, unless it is no longer interested.
void logRefused(const fuse::OutHeader& header, int error);

// A whole answer or notice. What the kernel refuses is logged, unless it is no longer interested.
void writeToDevice(int device, fuse::Bytes message);

}  // namespace slipway
