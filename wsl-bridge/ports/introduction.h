// A dial to a container that is perhaps told who its client is, before the client's first byte.
#pragma once

#include <string>

#include "shared/tunnel/dialer.h"

namespace slipway {

// Destroying it gives up; `done` may destroy it.
class Introduction {
public:
    Introduction(Dialer& dialer, v1::StreamHello hello, std::string header, Dialer::StreamDone done)
        : m_dialer(dialer),
          m_hello(std::move(hello)),
          m_header(std::move(header)),
          m_done(std::move(done))
    {
    }

    void start(bool withHeader);

private:
    void reached(StreamPtr container);

    Dialer& m_dialer;
    v1::StreamHello m_hello;
    std::string m_header;
    Dialer::StreamDone m_done;
    StreamPtr m_container;  // While the header is being written.
    DialingPtr m_dialing;
};

}  // namespace slipway
