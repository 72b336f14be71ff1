// Messages on a stream of bytes: each is preceded by its length in two bytes, big-endian. So do
// datagrams travel here, and DNS over TCP (RFC 1035, 4.2.2).
#pragma once

#include <cstddef>
#include <vector>

#include "shared/io/byte_stream.h"

namespace slipway {

inline constexpr std::size_t kFrameLengthBytes = 2;
using Frames = std::vector<std::byte>;

// `message` holds 65,535 bytes at most.
inline void appendFrame(Frames& frames, ByteStream::Bytes message)
{
    frames.push_back(static_cast<std::byte>(message.size() >> 8));
    frames.push_back(static_cast<std::byte>(message.size() & 0xff));
    frames.insert(frames.end(), message.begin(), message.end());
}

// Takes frames apart that come in pieces.
class FrameReader {
public:
    // Calls back with each message that is complete now.
    template <class Each>
    void take(ByteStream::Bytes bytes, const Each& each)
    {
        if (!m_partial.empty()) {
            m_partial.insert(m_partial.end(), bytes.begin(), bytes.end());
            std::size_t used = whole(m_partial, each);
            m_partial.erase(m_partial.begin(),
                            m_partial.begin() + static_cast<std::ptrdiff_t>(used));
        } else {
            auto rest = bytes.subspan(whole(bytes, each));
            m_partial.assign(rest.begin(), rest.end());
        }
    }

private:
    template <class Each>
    static std::size_t whole(ByteStream::Bytes bytes, const Each& each)
    {
        std::size_t at = 0;
        while (bytes.size() - at >= kFrameLengthBytes) {
            std::size_t size = std::to_integer<std::size_t>(bytes[at]) << 8 |
                               std::to_integer<std::size_t>(bytes[at + 1]);
            if (bytes.size() - at - kFrameLengthBytes < size) break;
            each(bytes.subspan(at + kFrameLengthBytes, size));
            at += kFrameLengthBytes + size;
        }
        return at;
    }

    Frames m_partial;
};

}  // namespace slipway
