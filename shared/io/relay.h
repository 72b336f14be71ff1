// Copies two streams into each other until both directions have ended.
//
// Theory of operation: each direction is a loop of one read and one write, so a slow reader stops
// its writer by itself and no queue can grow. The end of input in one direction is passed on as a
// half-close while the other goes on; the relay is over when both have ended, or with the first
// error.
#pragma once

#include <cstdint>
#include <functional>

#include "shared/io/byte_stream.h"

namespace slipway {

class Relay {
public:
    using Done = std::function<void(Result<>)>;

    // Owns both streams. `done` may destroy the relay; it is called once.
    Relay(StreamPtr left, StreamPtr right, Done done);
    void start();

    std::uint64_t bytes() const { return m_bytes; }  // Both ways together.

private:
    void pump(ByteStream& from, ByteStream& to);
    void endOf(ByteStream& to);
    void finish(Result<> result);

    StreamPtr m_left;
    StreamPtr m_right;
    Done m_done;
    int m_open = 2;
    std::uint64_t m_bytes = 0;
};

}  // namespace slipway
