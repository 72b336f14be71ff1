// What may happen to the machine and its engine, and what becomes of two operations that meet.
//
// Theory of operation. Machine carries out one operation at a time. An adoption or a start ends
// with the machine up; then the engine in it has enginePatience to answer, which is told by
// engineIs(). Whoever waits for the engine is in m_starts, whoever waits for a stop or a removal to
// end is in m_stops.
//
//              meets adopt, start      meets stop, removal         meets a running engine
//   start      joins it                is refused: try again       done at once
//   stop       cancels it              joins it                    stops
//
// A restart is a stop, then a start; a reset is a stop, then a removal. A machine that has ended by
// itself is started anew, three times in five minutes at most. One that runs but can't be taken
// over is left alone: only a stop ends it, and with it the containers in it. Everything runs on the
// loop.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "shared/io/loop.h"
#include "shared/proto/bridge.pb.h"
#include "wsl-bridge/machine/machine.h"

namespace slipway {

class Lifecycle {
public:
    using Clock = std::chrono::system_clock;
    using Done = std::function<void(Result<>)>;

    struct Parts {
        Machine& machine;
        std::function<Result<MachineSetup>()> prepare;  // What the next start is to be made with.
        // The machine runs: its engine is to be configured and watched. An adopted one was not
        // prepared.
        std::function<void(bool adopted)> up;
        std::function<void()> down;  // It runs no more.
        // A reset has deleted it: what is kept outside it about its containers goes as well.
        std::function<Result<>()> forget;
        std::function<void()> changed;  // condition() or reason() has.
        std::chrono::milliseconds enginePatience = std::chrono::seconds(90);
    };
    Lifecycle(Loop& loop, Parts parts);

    void adopt();  // Takes over a machine that an earlier bridge left running, if there is one.
    void start(Done done);
    void stop(Done done);
    void restart(Done done);
    void reset(Done done);  // Deletes images, containers and volumes, and the grants that binds
                            // have made. Stops the engine first.

    // Nothing is started any more. `done` when the engine is stopped, if it is to be; a stop that
    // is under way is waited for in any case.
    void quit(bool stopEngine, Done done);

    // While the machine runs: whether the engine in it answers, and if not, why.
    void engineIs(bool running, const std::string& why);
    // It has ended again and again before it answered: whoever waits for it is told so.
    void engineFails(const std::string& why);

    v1::Condition condition() const { return m_condition; }
    const std::string& reason() const { return m_reason; }
    Clock::time_point since() const { return m_since; }

private:
    void adopted(Result<> result);
    void startMachine();
    void machineUp(bool adopted);
    void awaitEngine();
    void stopEnded(Result<> result);
    void machineDied();
    void giveUp(const Error& why);
    void enter(v1::Condition condition, const std::string& reason = {});
    void settle(Result<> outcome);

    Loop& m_loop;
    Parts m_parts;
    v1::Condition m_condition = v1::CONDITION_STOPPED;
    std::string m_reason;
    Clock::time_point m_since = Clock::now();
    std::vector<Done> m_starts;
    std::vector<Done> m_stops;
    Timer m_patience;
    std::deque<Clock::time_point> m_deaths;
    Timer m_revival;
    bool m_quitting = false;
};

}  // namespace slipway
