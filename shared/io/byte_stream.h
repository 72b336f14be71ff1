// Two directions of bytes with one-shot operations: the shape of every data path.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

class ByteStream {
public:
    using Bytes = std::span<const std::byte>;
    using ReadDone = std::function<void(Result<Bytes>)>;
    using WriteDone = std::function<void(Result<>)>;

    virtual ~ByteStream() = default;  // Destroying the stream cancels whatever it was doing.

    // Reads once. An empty span is the end of the stream. The bytes stay valid until the next
    // read(), and no callback ever runs before the call that was given it has returned.
    virtual void read(ReadDone done) = 0;

    // All of it; one at a time. The bytes must stay valid until `done`.
    virtual void write(Bytes data, WriteDone done) = 0;

    // What the peer takes without waiting: how many of the bytes went. The rest, and any error, is
    // for write(). Not while a write is under way.
    virtual std::size_t writeNow(Bytes) { return 0; }

    virtual void
    closeWrite() = 0;  // Tell the peer; reading goes on. Not while a write is under way.

    // To be destroyed next, in place of an end: its peer then sees that what it got is not all
    // (a reset, of TCP). What is still on its way is lost.
    virtual void abort() {}

    // The socket whose bytes are the stream's as they are, for those who move them past it. None
    // where they are made, as by TLS.
    virtual std::optional<int> socket() const { return std::nullopt; }

    // Of a stream with a socket: waits until a read would not wait, and reads nothing. In place of
    // a read.
    using InputDone = std::function<void()>;
    virtual void awaitInput(InputDone) {}
};

using StreamPtr = std::unique_ptr<ByteStream>;

// As to.write(), but `done` may be called before this returns: it is where the peer takes
// everything at once, which spares a turn of the loop.
inline void writeOrWait(ByteStream& to, ByteStream::Bytes data, ByteStream::WriteDone done)
{
    auto rest = data.subspan(to.writeNow(data));
    if (rest.empty()) return done({});
    to.write(rest, std::move(done));
}

inline ByteStream::Bytes bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view textOf(ByteStream::Bytes bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace slipway
