// A FUSE request taken apart without trusting it: every field is checked against the message's
// length.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "shared/fuse/errno.h"
#include "shared/fuse/wire.h"

namespace slipway::fuse {

using Bytes = std::span<const std::byte>;

template <class T>
Bytes bytesOfValue(const T& value)
{
    return std::as_bytes(std::span(&value, 1));
}

// Reads a message's body from front to back. The first thing that is missing or malformed makes it
// bad, and whatever is read from then on is empty: check good() once, after the last field.
class Body {
public:
    explicit Body(Bytes bytes) : m_rest(bytes) {}

    template <class T>
    T take()
    {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        if (m_rest.size() < sizeof value) {
            fail();
            return value;
        }
        std::memcpy(&value, m_rest.data(), sizeof value);
        m_rest = m_rest.subspan(sizeof value);
        return value;
    }

    // One component of a path: ended by a zero, 1 to kMaxNameBytes long, no slash, not "." or "..".
    std::string_view name();

    // Any text that is ended by a zero.
    std::string_view text();

    // Exactly `size` bytes.
    Bytes data(std::size_t size);

    std::size_t left() const { return m_rest.size(); }
    Bytes rest() const { return m_rest; }
    bool good() const { return !m_error; }
    Errno error() const { return *m_error; }  // Only where it is not good().

private:
    void fail(Errno error = Errno::Invalid)
    {
        if (!m_error) m_error = error;
        m_rest = {};
    }

    Bytes m_rest;
    std::optional<Errno> m_error;
};

struct Request {
    InHeader header;
    Bytes body;
};

// None: not a request at all; its length field is not the message's.
std::optional<Request> parseRequest(Bytes message);

}  // namespace slipway::fuse
