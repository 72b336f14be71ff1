// Telling the agent an answer ahead (shared/fuse/wire.h, AheadBody).
#pragma once

#include <array>
#include <string_view>

#include "shared/fuse/message_stream.h"

namespace slipway {

inline void tellAhead(fuse::MessageStream& stream, const fuse::AheadBody& body,
                      std::string_view name = {}, fuse::Bytes data = {})
{
    fuse::OutHeader header{
        static_cast<std::uint32_t>(sizeof header + sizeof body + name.size() + data.size()),
        static_cast<std::int32_t>(fuse::Notify::Ahead), 0};
    stream.writeAhead(
        std::array{bytesOfValue(header), bytesOfValue(body), std::as_bytes(std::span(name)), data});
}

}  // namespace slipway
