// The agent's end of one carrier of many streams.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "linux-vm-agent/stream_target.h"
#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/multiplexer.h"

namespace slipway {

// Each stream is relayed to its target in the machine, or parked: by a pair of sockets, as whoever
// waits on a parked stream needs one.
class MultiplexedStreams {
public:
    using Park = std::function<void(Descriptor)>;
    // `ended` once; it may destroy this.
    MultiplexedStreams(Loop& loop, StreamPtr carrier, IsPublished isPublished, Park park,
                       std::function<void()> ended);

private:
    struct Stream {
        std::unique_ptr<Multiplexer::Visit> visit;
        std::unique_ptr<Connecting> connecting;
        std::unique_ptr<Relay> relay;
    };
    using Place = std::list<Stream>::iterator;
    void asked(std::unique_ptr<Multiplexer::Visit> visit);
    void reached(Place stream, Result<Descriptor> target);
    void park(Place stream);

    Loop& m_loop;
    IsPublished m_isPublished;
    Park m_park;
    std::list<Stream> m_streams;
    Multiplexer m_multiplexer;  // Dies first, and ends the relays.
};

}  // namespace slipway
