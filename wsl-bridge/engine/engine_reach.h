// One connection to the engine, waiting for an engine that is about to be there.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "shared/io/loop.h"
#include "shared/tunnel/dialer.h"

namespace slipway {

// What is known of the engine: whom to dial, or why nobody can be.
struct EngineAvailability {
    Dialer* dialer = nullptr;
    bool starting = false;  // It is worth waiting.
    std::string reason;     // Its state: "stopped", "starting: …".
};

// Dials. While the engine starts, or dockerd is being restarted and refuses, it keeps trying for up
// to `wait`, so that the first command after a start, or the one in a crash of dockerd, works.
// Unavailable, with the way out, if it can't be reached. Destroying it gives up; `done` may destroy
// it, and it must not be told of changes after that.
class EngineReach {
public:
    using Done = std::function<void(Result<StreamPtr>)>;
    EngineReach(Loop& loop, const EngineAvailability& engine, std::chrono::milliseconds wait,
                Done done);

    void engineChanged();  // `engine` says something else now.

private:
    void attempt();
    void retry(std::chrono::milliseconds pause);
    void dialed(Result<StreamPtr> stream);
    void giveUp(std::string message);

    const EngineAvailability& m_engine;
    std::chrono::steady_clock::time_point m_end;
    Done m_done;
    Timer m_timer;
    DialingPtr m_dialing;
};

}  // namespace slipway
