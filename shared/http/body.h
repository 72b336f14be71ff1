// How far a body reaches in the bytes that go by, and what it says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/http/head.h"

namespace slipway::http {

// Follows one body through the bytes of its connection, chunk sizes, extensions and trailers
// included, without keeping any of them.
class BodyScanner {
public:
    explicit BodyScanner(Framing framing);

    // How many of `bytes` belong to the body. Less than all of them only once the body has ended.
    // InvalidArgument where chunks are malformed; nothing may be scanned after that. What the body
    // says, without its framing, is added to `content`.
    Result<std::size_t> scan(std::string_view bytes, std::string* content = nullptr);

    bool done() const { return m_state == State::Done; }
    bool untilClose() const { return m_state == State::UntilClose; }

private:
    // Chunked (RFC 9112, section 7.1): Size, then Extension up to the line's end; Data and its line
    // end; after a size of 0, trailer lines up to an empty one.
    enum class State {
        Done,
        UntilClose,
        Length,
        Size,
        Extension,
        SizeEnd,
        Data,
        DataEnd,
        DataEnd2,
        TrailerStart,
        Trailer,
        TrailerLineEnd,
        LastEnd
    };
    Result<> step(char c);

    State m_state;
    std::uint64_t m_left = 0;  // Of the body, or of the chunk.
    std::size_t m_digits = 0;
    // Of the extension or the trailers: bounded, as nobody reads them.
    std::size_t m_extraBytes = 0;
};

// The content of a whole chunked body that a BodyScanner has accepted.
std::string withoutChunks(std::string_view body);

}  // namespace slipway::http
