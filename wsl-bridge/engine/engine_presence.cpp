#include "wsl-bridge/engine/engine_presence.h"

namespace slipway {

DialEngine engineBehind(Dialer& machine)
{
    return [&machine](Dialer::StreamDone done) {
        return machine.dial(helloEngine(), std::move(done));
    };
}

void EnginePresence::set(EngineAvailability now)
{
    m_now = std::move(now);
    std::erase_if(m_watches, [](const auto& watch) { return watch.expired(); });
    for (const auto& watch : std::vector(m_watches))
        if (auto changed = watch.lock()) (*changed)();
}

EnginePresence::Watch EnginePresence::watch(std::function<void()> changed)
{
    std::erase_if(m_watches, [](const auto& watch) { return watch.expired(); });
    auto watch = std::make_shared<std::function<void()>>(std::move(changed));
    m_watches.push_back(watch);
    return watch;
}

}  // namespace slipway
