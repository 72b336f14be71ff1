#include "wsl-bridge/lifecycle.h"

#include <fmt/format.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr auto kStopDeadline = 20s;
constexpr auto kRevivalPause = 500ms;
constexpr auto kDeathWindow = 5min;
constexpr std::size_t kDeathsAllowed = 3;

}  // namespace

Lifecycle::Lifecycle(Loop& loop, Parts parts)
    : m_loop(loop), m_parts(std::move(parts)), m_patience(loop), m_revival(loop)
{
    m_parts.machine.onDeath([this] { machineDied(); });
}

// --- Up.

void Lifecycle::adopt()
{
    enter(v1::CONDITION_STARTING, "looking for a machine that runs already");
    m_parts.machine.adopt([this](Result<> result) { adopted(std::move(result)); });
}

void Lifecycle::adopted(Result<> result)
{
    if (result) {
        log::info("bridge: took over the machine that runs already");
        return machineUp(true);
    }
    if (result.error().code != Code::NotFound)
        return giveUp(
            {result.error().code,
             fmt::format("the machine runs and is left alone, but it can't be taken over: {}; to "
                         "end it with its containers and start anew: slipway restart",
                         result.error().message)});
    if (m_starts.empty()) return enter(v1::CONDITION_STOPPED);
    startMachine();
}

void Lifecycle::start(Done done)
{
    if (m_condition == v1::CONDITION_RUNNING)
        return m_loop.post([done = std::move(done)] { done({}); });
    if (m_condition == v1::CONDITION_STOPPING || m_quitting) {
        auto busy = m_quitting ? "the bridge is just ending; try again in a moment"
                               : fmt::format("{} is under way; try again in a moment", m_reason);
        return m_loop.post([done = std::move(done), busy = std::move(busy)] {
            done(fail(Code::FailedPrecondition, busy));
        });
    }
    m_starts.push_back(std::move(done));
    switch (m_parts.machine.state()) {
        case Machine::State::Stopped:
            return startMachine();
        case Machine::State::Unreachable:
            return adopt();
        case Machine::State::Running:
            if (m_starts.size() == 1) awaitEngine();
            return;
        case Machine::State::Starting:
        case Machine::State::Stopping:
            return;  // Joined.
    }
}

void Lifecycle::startMachine()
{
    m_revival.stop();
    enter(v1::CONDITION_STARTING, "starting the machine");
    auto setup = m_parts.prepare();
    if (!setup)  // Told once start() has returned.
        return m_patience.after(0ms, [this, error = setup.error()] { giveUp(error); });
    m_parts.machine.start(
        *setup, [this](const std::string& step) { enter(v1::CONDITION_STARTING, step); },
        [this](Result<> started) { started ? machineUp(false) : giveUp(started.error()); });
}

void Lifecycle::machineUp(bool adopted)
{
    enter(v1::CONDITION_STARTING, "starting the engine");
    m_parts.up(adopted);
    if (!m_starts.empty()) awaitEngine();
}

void Lifecycle::awaitEngine()
{
    m_patience.after(m_parts.enginePatience, [this] {
        auto seconds = std::chrono::duration_cast<std::chrono::seconds>(m_parts.enginePatience);
        settle(fail(Code::DeadlineExceeded,
                    fmt::format("the engine does not run after {} s: {}; see slipway logs engine",
                                seconds.count(), m_reason)));
    });
}

void Lifecycle::engineIs(bool running, const std::string& why)
{
    if (m_parts.machine.state() != Machine::State::Running) return;
    if (running) {
        enter(v1::CONDITION_RUNNING);
        return settle({});
    }
    bool ran = m_condition == v1::CONDITION_RUNNING || m_condition == v1::CONDITION_TROUBLE;
    enter(ran ? v1::CONDITION_TROUBLE : v1::CONDITION_STARTING, why);
}

void Lifecycle::engineFails(const std::string& why)
{
    if (m_parts.machine.state() != Machine::State::Running) return;
    enter(v1::CONDITION_TROUBLE, why);
    settle(fail(Code::Aborted, fmt::format("the engine does not start: {}", why)));
}

// --- Down.

void Lifecycle::stop(Done done)
{
    m_stops.push_back(std::move(done));
    if (m_condition == v1::CONDITION_STOPPING) return;
    m_revival.stop();
    enter(v1::CONDITION_STOPPING, "stopping the engine");
    settle(fail(Code::Cancelled, "the engine was told to stop"));
    m_parts.machine.stop(kStopDeadline, [this](Result<> result) { stopEnded(std::move(result)); });
}

void Lifecycle::stopEnded(Result<> result)
{
    m_parts.down();
    if (result)
        enter(v1::CONDITION_STOPPED);
    else
        enter(v1::CONDITION_TROUBLE, result.error().message);
    for (Done& done : std::exchange(m_stops, {})) done(result);
}

void Lifecycle::restart(Done done)
{
    stop([this, done = std::move(done)](Result<> stopped) {
        if (!stopped) return done(std::move(stopped));
        start(done);
    });
}

void Lifecycle::reset(Done done)
{
    stop([this, done = std::move(done)](Result<> stopped) {
        if (!stopped) return done(std::move(stopped));
        // Whoever waited for the same stop may have begun something.
        if (m_condition != v1::CONDITION_STOPPED) return reset(done);
        enter(v1::CONDITION_STOPPING, "deleting the machine");
        m_stops.push_back(done);
        m_parts.machine.remove(
            [this](Result<> removed) { stopEnded(removed ? m_parts.forget() : removed); });
    });
}

void Lifecycle::quit(bool stopEngine, Done done)
{
    m_quitting = true;
    if (stopEngine || m_condition == v1::CONDITION_STOPPING) return stop(std::move(done));
    m_loop.post([done = std::move(done)] { done({}); });
}

// --- What happens.

void Lifecycle::machineDied()
{
    log::error("bridge: the machine has ended by itself");
    m_parts.down();
    auto now = Clock::now();
    m_deaths.push_back(now);
    while (now - m_deaths.front() > kDeathWindow) m_deaths.pop_front();
    if (m_deaths.size() > kDeathsAllowed)
        return giveUp(
            {Code::Aborted,
             fmt::format("the machine has ended {} times in {} minutes and is not started again; "
                         "see slipway logs agent, then slipway start",
                         m_deaths.size(), kDeathWindow.count())});
    // Whoever waits for the engine goes on waiting.
    m_patience.stop();
    enter(v1::CONDITION_TROUBLE, "the machine has ended by itself; see slipway logs agent");
    m_revival.after(kRevivalPause, [this] { startMachine(); });
}

void Lifecycle::giveUp(const Error& why)
{
    log::error("bridge: {}", why.message);
    enter(v1::CONDITION_TROUBLE, why.message);
    settle(tl::unexpected(why));
}

void Lifecycle::enter(v1::Condition condition, const std::string& reason)
{
    if (condition != m_condition) {
        m_since = Clock::now();
        log::info("bridge: {} -> {}{}{}", v1::Condition_Name(m_condition),
                  v1::Condition_Name(condition), reason.empty() ? "" : ": ", reason);
    }
    m_condition = condition;
    m_reason = reason;
    m_parts.changed();
}

void Lifecycle::settle(Result<> outcome)
{
    m_patience.stop();
    for (Done& done : std::exchange(m_starts, {})) done(outcome);
}

}  // namespace slipway
