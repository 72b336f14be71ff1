// The Docker API endpoint of the host: listens, and gives each client a proxy to the engine.
#pragma once

#include <list>
#include <memory>

#include "shared/io/uv_stream.h"
#include "wsl-bridge/engine/containers.h"
#include "wsl-bridge/engine/http_proxy.h"

namespace slipway {

class Endpoint {
public:
    // On options.endpointSocket, which is options.user's alone.
    static Result<std::unique_ptr<Endpoint>> listen(Loop& loop, ProxyOptions options);
    ~Endpoint();

    // Whom requests go to from now on; streams that are open stay where they are. Without a dialer,
    // requests are answered 503 with `reason`; while `starting`, they first wait for up to
    // ProxyOptions::wait. The dialer must live until it is replaced here, or the endpoint dies.
    void setEngine(EngineAvailability engine);

    // One more client that did not come over the socket: the machine's own /var/run/docker.sock.
    void serve(StreamPtr client);

    // What the engine runs, as last seen: seen anew after each answer that changes it, and on
    // refresh().
    Containers& containers() { return m_containers; }

    // Containers, services and volumes are gone with their engine: what is kept of them goes too.
    void forgetContainers();

private:
    Endpoint(Loop& loop, ProxyOptions options);
    void restoreAfterSwarm();
    void forgetRemoved();

    Loop& m_loop;
    ProxyContext m_context;
    Containers m_containers;
    EngineQuestionPtr m_swarmQuestion;
    EngineQuestionPtr m_volumesQuestion;
    EngineQuestionPtr m_servicesQuestion;
    ListenerPtr m_listener;
    std::list<std::unique_ptr<HttpProxy>> m_proxies;
};

}  // namespace slipway
