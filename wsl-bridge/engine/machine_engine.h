// The machine's engine as the endpoints' proxies see it, and what is kept about it on the host.
#pragma once

#include <memory>

#include "wsl-bridge/engine/containers.h"
#include "wsl-bridge/engine/proxy_context.h"

namespace slipway {

// Outlives the endpoints that lead to it.
class MachineEngine {
public:
    MachineEngine(Loop& loop, ProxyOptions options);

    std::shared_ptr<ProxyContext> context() const { return m_context; }

    // Whom requests go to from now on; streams that are open stay where they are. Without somebody
    // to dial, requests are answered 503 with `reason`; while `starting`, they first wait for up to
    // ProxyOptions::wait.
    void setAvailability(EngineAvailability engine);

    // What the engine runs, as last seen: seen anew after each answer that changes it, and on
    // refresh().
    Containers& containers() { return m_containers; }
    const Containers& containers() const { return m_containers; }

    // Containers, services and volumes are gone with their engine: what is kept of them goes too.
    void forgetContainers();

private:
    void restoreAfterSwarm();
    void forgetRemoved();

    Loop& m_loop;
    std::shared_ptr<ProxyContext> m_context;
    Containers m_containers;
    EngineQuestionPtr m_swarmQuestion;
    EngineQuestionPtr m_volumesQuestion;
    EngineQuestionPtr m_servicesQuestion;
};

}  // namespace slipway
