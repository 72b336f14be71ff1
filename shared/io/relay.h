// Copies two streams into each other until both directions have ended.
//
// Theory of operation: each direction is a loop of one read and one write, so a slow reader stops
// its writer by itself and no queue can grow. The end of input in one direction is passed on as a
// half-close while the other goes on; the relay is over when both have ended, or with the first
// error, which both peers then see as a reset.
//
// Where much comes at once, the bytes go from socket to socket through a pipe of the kernel
// (splice(2)), which refers to them instead of copying them; for few bytes that costs more than the
// copies do, and so the direction goes back to them when little comes. It holds a pipe only while
// that holds bytes. A receiver that has no room for all of them is waited for by a write of their
// first few.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "shared/io/byte_stream.h"
#include "shared/io/pipe_pool.h"

namespace slipway {

class Relay {
public:
    using Done = std::function<void(Result<>)>;

    // Owns both streams. `done` may destroy the relay; it is called once.
    Relay(StreamPtr left, StreamPtr right, Done done);
    void start();

    std::uint64_t bytes() const { return m_bytes; }  // Both ways together.

private:
    struct Direction {
        ByteStream& from;
        ByteStream& to;
        bool bulk = false;  // Spliced, for as long as much comes.
        LentPipe pipe{};
        std::vector<std::byte> firstFew{};
    };
    void pump(Direction& way);
    void copy(Direction& way);
    void splice(Direction& way);
    void drain(Direction& way);
    void endOf(ByteStream& to);
    void finish(Result<> result);

    StreamPtr m_left;
    StreamPtr m_right;
    Direction m_toRight;
    Direction m_toLeft;
    Done m_done;
    int m_open = 2;
    std::uint64_t m_bytes = 0;
};

}  // namespace slipway
