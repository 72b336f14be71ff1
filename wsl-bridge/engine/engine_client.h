// The bridge's own questions to the engine: one GET, one answer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "shared/core/error.h"
#include "shared/io/loop.h"
#include "wsl-bridge/engine/engine_presence.h"

namespace slipway {

// A question under way; destroying it gives up. `done` may destroy it.
class EngineQuestion {
public:
    virtual ~EngineQuestion() = default;
};
using EngineQuestionPtr = std::unique_ptr<EngineQuestion>;

// Asks by the same way as the endpoint, so a good answer speaks for the endpoint's path as well.
class EngineClient {
public:
    EngineClient(Loop& loop, DialEngine dial);

    // The body of a 200 answer. Unavailable for any other, with what the engine said;
    // DeadlineExceeded after `limit`.
    using Answered = std::function<void(Result<std::string>)>;
    EngineQuestionPtr get(std::string target, Answered answered,
                          std::chrono::milliseconds limit = std::chrono::seconds(10));

    // How long /_ping took, the dial included.
    using Pinged = std::function<void(Result<std::chrono::microseconds>)>;
    EngineQuestionPtr ping(Pinged pinged,
                           std::chrono::milliseconds limit = std::chrono::seconds(2));

    struct Version {
        std::string engine;  // 26.1.5
        std::string api;     // 1.45
    };
    using VersionDone = std::function<void(Result<Version>)>;
    EngineQuestionPtr version(VersionDone done,
                              std::chrono::milliseconds limit = std::chrono::seconds(2));

private:
    Loop& m_loop;
    DialEngine m_dial;
};

}  // namespace slipway
