// Whole messages both ways on a stream of frames.
#pragma once

#include <functional>
#include <string_view>

#include "shared/io/byte_stream.h"
#include "shared/io/frames.h"

namespace slipway {

// While the peer does not read, no more is read from it.
class FramedStream {
public:
    struct Events {
        std::function<void(std::string_view message)> came;  // May send; must not destroy this.
        std::function<void()> ended;                         // Once; it may destroy this.
    };
    FramedStream(StreamPtr stream, Events events);

    // Messages of more than 65,535 bytes, or when the peer has long not read, are lost.
    void send(std::string_view message);

private:
    void read();
    void write();
    void end();

    StreamPtr m_stream;
    Events m_events;
    FrameReader m_reader;
    Frames m_waiting;  // To be written.
    Frames m_writing;
    bool m_reads = false;
};

}  // namespace slipway
