// Length-prefixed messages on a socket that must not be read one byte too far.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include <google/protobuf/message_lite.h>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"

namespace slipway {

// Each message is preceded by its length: 4 bytes, little endian. One receive and one send at a
// time. Callbacks come from the loop, and may destroy the HeadSocket. A message may carry a
// descriptor.
class HeadSocket {
public:
    HeadSocket(Loop& loop, Descriptor socket);  // Non-blocking from here on.
    ~HeadSocket();

    using Received = std::function<void(Result<std::string>)>;
    using Sent = std::function<void(Result<>)>;
    // `along` becomes the descriptor that the message carries; without it none is taken.
    void receive(std::size_t maxBytes, Received received, Descriptor* along = nullptr);
    void send(const google::protobuf::MessageLite& message, Sent sent, Descriptor along = {});

    Descriptor release();  // The socket, no longer watched.

private:
    void poll();
    void ready(int status, int events);
    void readSome();
    void writeSome();

    Loop& m_loop;
    Descriptor m_socket;
    UvHandle<uv_poll_t> m_poll;
    std::string m_in;
    std::size_t m_wanted = 0;  // Bytes of m_in that complete the length, then the message.
    std::size_t m_maxBytes = 0;
    Received m_received;
    Descriptor* m_inAlong = nullptr;
    std::string m_out;
    std::size_t m_written = 0;
    Descriptor m_outAlong;  // Goes with the first byte.
    Sent m_sent;
};

}  // namespace slipway
