// One connection to the engine, waiting for an engine that is about to be there.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "shared/io/loop.h"
#include "wsl-bridge/engine/engine_presence.h"

namespace slipway {

// Dials. While the engine starts, or dockerd is being restarted and refuses, it keeps trying for up
// to `wait`, so that the first command after a start, or the one in a crash of dockerd, works.
// Unavailable, with the way out, if it can't be reached. Destroying it gives up; `done` may destroy
// it.
class EngineReach {
public:
    using Done = std::function<void(Result<StreamPtr>)>;
    EngineReach(Loop& loop, EnginePresence& engine, std::chrono::milliseconds wait, Done done);

private:
    void attempt();
    void retry(std::chrono::milliseconds pause);
    void dialed(Result<StreamPtr> stream);
    void giveUp(std::string message);

    const EnginePresence& m_engine;
    EnginePresence::Watch m_watch;
    std::chrono::steady_clock::time_point m_end;
    Done m_done;
    Timer m_timer;
    DialingPtr m_dialing;
};

}  // namespace slipway
