// What a Handle is on Linux: a descriptor, O_PATH or opened for data.
#pragma once

#include "shared/io/descriptor.h"
#include "wsl-bridge/files/file_tree.h"

namespace slipway {

class LinuxHandle final : public Handle {
public:
    explicit LinuxHandle(Descriptor fd) : m_fd(std::move(fd)) {}
    int fd() const { return m_fd.get(); }

private:
    Descriptor m_fd;
};

inline int fdOf(const Handle& handle)
{
    return static_cast<const LinuxHandle&>(handle).fd();
}

}  // namespace slipway
