// Connections to one engine that no client uses just now, kept for the next one.
#pragma once

#include <list>
#include <memory>

#include "shared/http/http_stream.h"

namespace slipway {

// A few, for a short time: a client that comes meanwhile is spared the dial. One that the engine
// ends goes at once.
class IdleConnections {
public:
    explicit IdleConnections(Loop& loop) : m_leftUnused(loop) {}

    // `connection` has carried whole exchanges, and nothing is waiting on it.
    void keep(std::unique_ptr<http::HttpStream> connection);
    std::unique_ptr<http::HttpStream> take();  // Null: there is none.

private:
    std::list<std::unique_ptr<http::HttpStream>> m_connections;  // The last used is the last.
    Timer m_leftUnused;
};

}  // namespace slipway
