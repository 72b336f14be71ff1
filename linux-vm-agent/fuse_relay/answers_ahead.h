// What the bridge's file server has answered before it was asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "shared/fuse/request.h"

namespace slipway {

// From any thread. The server sees to it that what is here is true (wsl-bridge/files,
// dispatch_ahead.cpp), as long as every message of its stream is shown to follow() in order before
// it is acted on.
class AnswersAhead {
public:
    // True: it was for us, and there is nothing more to do with it.
    bool follow(fuse::Bytes message);
    void clear();  // The stream has ended.

    // The whole answer, if there is one.
    std::optional<std::vector<std::byte>> answerTo(const fuse::Request& request);

private:
    void forget(const fuse::Request& request);

    std::mutex m_mutex;
    std::unordered_map<std::uint64_t, fuse::AttrOut> m_attributes;  // By node.
};

}  // namespace slipway
