// The way out of the machine: streams that the bridge keeps open for the agent to use.
//
// Theory of operation. The host dials and the machine never does, so the bridge keeps a few streams
// parked. When something in the machine wants the host, the agent writes a DialOut on one; the
// bridge hands both on and parks another in its place.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "shared/tunnel/dialer.h"
#include "shared/tunnel/head_socket.h"

namespace slipway {

class ParkedStreams {
public:
    // `client` is the socket of who asks, if that came along; the stream has no use then.
    using Asked = std::function<void(const v1::DialOut& target, std::unique_ptr<HeadSocket> stream,
                                     Descriptor client)>;
    ParkedStreams(Loop& loop, Dialer& dialer, Asked asked);
    ~ParkedStreams();

private:
    struct Place;

    void park(Place& place);
    void waitFor(Place& place, Descriptor socket);
    void parkLater(Place& place);

    Loop& m_loop;
    Dialer& m_dialer;
    Asked m_asked;
    std::list<Place> m_places;
};

}  // namespace slipway
