// The bridge's gRPC server, for the desktop and the command line, on a unix socket.
#pragma once

#include <memory>

#include "shared/core/error.h"
#include "shared/io/loop.h"
#include "shared/paths/home.h"

namespace slipway {

class Bridge;

class BridgeService {
public:
    // Serves on home.bridgeSocket(), 0600, its folder owner's. Calls are carried out on the
    // bridge's loop.
    static Result<std::unique_ptr<BridgeService>> start(Loop& loop, Bridge& bridge,
                                                        const Home& home);
    virtual ~BridgeService() = default;  // Ends every call that is still open. The loop may rest.
};

}  // namespace slipway
