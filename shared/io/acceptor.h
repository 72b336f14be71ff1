// Accepts connections as bare descriptors: for those who must know the peer, hand the socket on, or
// read not one byte too far, before a stream is made of it.
#pragma once

#include <functional>
#include <string>

#include "shared/io/descriptor.h"
#include "shared/io/loop.h"

namespace slipway {

// From a listening socket, until it is destroyed. While the process has no descriptor left, whoever
// knocks waits.
class Acceptor {
public:
    using Accepted = std::function<void(Descriptor)>;
    // `name` is for the log. What is accepted is non-blocking.
    Acceptor(Loop& loop, std::string name, Descriptor listening, Accepted accepted);
    ~Acceptor();

private:
    void watch();
    void accept();

    std::string m_name;
    Descriptor m_socket;
    Accepted m_accepted;
    UvHandle<uv_poll_t> m_poll;
    Timer m_pause;
    bool m_failing = false;  // Told in the log already.
};

}  // namespace slipway
