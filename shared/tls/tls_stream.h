// A ByteStream inside TLS.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shared/io/byte_stream.h"
#include "shared/io/loop.h"
#include "shared/tls/tls_context.h"

namespace slipway {

// Two ends that are getting to know each other over `raw`; destroying it gives up.
class TlsHandshake {
public:
    virtual ~TlsHandshake() = default;
};

// Gives the stream inside, or why the other end is not to be trusted. `done` may destroy the
// handshake. Half-close works both ways, by TLS's own goodbye; an end without one is an error, as
// somebody on the way may have cut the stream short.
using TlsDone = std::function<void(Result<StreamPtr>)>;
std::unique_ptr<TlsHandshake> startTls(Loop& loop, StreamPtr raw, const TlsContext& context,
                                       const std::string& serverName, TlsDone done);

}  // namespace slipway
