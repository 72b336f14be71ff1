// A listening unix socket that hands over bare descriptors.
#pragma once

#include <filesystem>

#include "shared/core/error.h"
#include "shared/io/acceptor.h"

namespace slipway {

// Accepts until it is destroyed; the socket file is removed then.
class UnixAcceptor {
public:
    using Accepted = Acceptor::Accepted;

    // As listenUnix(): a socket file that is there already is replaced, `mode` is as for chmod, and
    // it is its folder's owner's.
    static Result<std::unique_ptr<UnixAcceptor>> listen(Loop& loop, std::filesystem::path path,
                                                        int mode, Accepted accepted);
    ~UnixAcceptor();

private:
    UnixAcceptor(Loop& loop, std::filesystem::path path, Descriptor socket, Accepted accepted);

    std::filesystem::path m_path;
    Acceptor m_acceptor;
};

}  // namespace slipway
