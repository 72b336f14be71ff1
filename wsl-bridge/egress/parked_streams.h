// The way out of the machine: streams that the bridge keeps open for the agent to use.
//
// Theory of operation. The host dials and the machine never does, so the bridge keeps a few streams
// parked. When something in the machine wants the host, the agent writes a DialOut on one; the
// bridge answers, hands the stream to what was asked for, and parks another in its place.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "shared/io/byte_stream.h"
#include "shared/tunnel/dialer.h"
#include "shared/tunnel/head_socket.h"

namespace slipway {

class ParkedStreams {
public:
    // `toEndpoint` gets a stream whose far end is a client of the Docker API.
    using ToEndpoint = std::function<void(StreamPtr)>;
    ParkedStreams(Loop& loop, Dialer& dialer, ToEndpoint toEndpoint);
    ~ParkedStreams();

private:
    struct Place;

    void park(Place& place);
    void waitFor(Place& place, Descriptor socket);
    void asked(Place& place, const std::string& bytes);
    void hand(Place& place);
    void parkLater(Place& place);

    Loop& m_loop;
    Dialer& m_dialer;
    ToEndpoint m_toEndpoint;
    std::list<Place> m_places;
};

}  // namespace slipway
