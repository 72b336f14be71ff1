// A listening unix socket that hands over bare descriptors: for those who must know the peer, or
// read not one byte too far, before a stream is made of it.
#pragma once

#include <filesystem>
#include <functional>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"

namespace slipway {

// Accepts until it is destroyed; the socket file is removed then. While the process has no
// descriptor left, whoever knocks waits.
class UnixAcceptor {
public:
    using Accepted = std::function<void(Descriptor)>;

    // As listenUnix(): a socket file that is there already is replaced, `mode` is as for chmod, and
    // it is its folder's owner's.
    static Result<std::unique_ptr<UnixAcceptor>> listen(Loop& loop, std::filesystem::path path,
                                                        int mode, Accepted accepted);
    ~UnixAcceptor();

private:
    UnixAcceptor(Loop& loop, std::filesystem::path path, Descriptor socket, Accepted accepted);
    void watch();
    void accept();

    std::filesystem::path m_path;
    Descriptor m_socket;
    Accepted m_accepted;
    UvHandle<uv_poll_t> m_poll;
    Timer m_pause;
    bool m_failing = false;  // Told in the log already.
};

}  // namespace slipway
