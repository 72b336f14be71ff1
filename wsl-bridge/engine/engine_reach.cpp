#include "wsl-bridge/engine/engine_reach.h"

#include <fmt/format.h>

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kRetryPause{100};

}  // namespace

EngineReach::EngineReach(Loop& loop, EnginePresence& engine, std::chrono::milliseconds wait,
                         Done done)
    : m_engine(engine),
      m_watch(engine.watch([this] {
          if (!m_dialing) retry(std::chrono::milliseconds(0));
      })),
      m_end(std::chrono::steady_clock::now() + wait),
      m_done(std::move(done)),
      m_timer(loop)
{
    retry(std::chrono::milliseconds(0));
}

void EngineReach::retry(std::chrono::milliseconds pause)
{
    m_timer.after(pause, [this] { attempt(); });
}

void EngineReach::attempt()
{
    const EngineAvailability& now = m_engine.now();
    if (now.dial) {
        m_dialing = now.dial([this](Result<StreamPtr> stream) { dialed(std::move(stream)); });
        return;
    }
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(m_end - std::chrono::steady_clock::now());
    if (!now.starting)
        return giveUp(fmt::format("the engine is not running ({}); {}", now.reason, now.remedy));
    if (left.count() <= 0)
        return giveUp(
            fmt::format("the engine is not ready yet ({}); see: slipway status", now.reason));
    retry(left);  // Or sooner, when it changes.
}

void EngineReach::dialed(Result<StreamPtr> stream)
{
    m_dialing.reset();
    if (!stream) {
        if (std::chrono::steady_clock::now() < m_end) return retry(kRetryPause);
        return giveUp(fmt::format("the engine does not answer ({}); see: slipway status",
                                  stream.error().message));
    }
    m_watch.reset();
    auto done = std::exchange(m_done, nullptr);
    done(std::move(stream));
}

void EngineReach::giveUp(std::string message)
{
    m_watch.reset();
    auto done = std::exchange(m_done, nullptr);
    done(fail(Code::Unavailable, std::move(message)));
}

}  // namespace slipway
