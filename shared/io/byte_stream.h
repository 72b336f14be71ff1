// Two directions of bytes with one-shot operations: the shape of every data path.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
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

    virtual void
    closeWrite() = 0;  // Tell the peer; reading goes on. Not while a write is under way.
};

using StreamPtr = std::unique_ptr<ByteStream>;

inline ByteStream::Bytes bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view textOf(ByteStream::Bytes bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace slipway
