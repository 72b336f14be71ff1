// FUSE messages over a blocking stream socket: whole ones in, whole ones out.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "shared/core/error.h"
#include "shared/fuse/request.h"
#include "shared/io/descriptor.h"
#include "shared/io/eager_wait.h"
#include "shared/io/kernel_pipe.h"

namespace slipway::fuse {

class MessageStream {
public:
    // Takes the socket over and makes it blocking.
    explicit MessageStream(Descriptor socket);

    // Waits for the next message and gives it whole. False: the stream has ended, or its bytes are
    // not messages. Any number of threads may wait; each message goes to one of them.
    bool read(std::vector<std::byte>& message);

    // The same for a single reader; but of a message with more than `whole` bytes only the head,
    // and the rest is to be read next, by the two below.
    bool readHead(std::vector<std::byte>& message, std::size_t whole);
    bool readRest(std::vector<std::byte>& message);  // Appends it.
    bool readRest(KernelPipe& rest);  // False, too: it does not fit, and what is left can be read.

    // All parts as one message. False: the peer has gone. From any thread.
    bool write(std::span<const Bytes> parts);
    bool write(Bytes message) { return write(std::span(&message, 1)); }
    bool write(Bytes head, KernelPipe& rest);

    // A whole message, given in parts, that goes out in front of the next one that is written. Does
    // not wait. From any thread.
    void writeAhead(std::span<const Bytes> parts);
    void writeAhead(Bytes message) { writeAhead(std::span(&message, 1)); }
    bool flush() { return write(std::span<const Bytes>()); }  // What waits to go ahead.

    // Ends every read() and write(), now and later. From any thread.
    void shutdown();

private:
    bool fill(std::size_t wanted);
    bool readHeadLocked(std::vector<std::byte>& message, std::size_t whole);
    bool readAll(std::span<std::byte> to);
    bool send(std::span<const Bytes> parts);
    std::size_t receive(std::byte* to, std::size_t room);

    Descriptor m_socket;
    std::mutex m_readMutex;
    EagerWait m_wait;  // Guarded by m_readMutex, as are the three below.
    std::vector<std::byte> m_buffer;
    std::size_t m_begin = 0;
    std::size_t m_end = 0;
    std::size_t m_rest = 0;  // Of a message whose head was read.
    std::mutex m_writeMutex;
    std::mutex m_aheadMutex;
    std::vector<std::byte> m_ahead;  // Guarded by m_aheadMutex.
};

}  // namespace slipway::fuse
