// A socket of the host that speaks the Docker API: listens, and gives each client a proxy.
#pragma once

#include <filesystem>
#include <list>
#include <memory>

#include "shared/io/uv_stream.h"
#include "wsl-bridge/engine/http_proxy.h"

namespace slipway {

class Endpoint {
public:
    // On a unix socket that is its folder's owner's alone. `choose` is asked for each request.
    static Result<std::unique_ptr<Endpoint>> listen(Loop& loop, const std::filesystem::path& socket,
                                                    ChooseEngine choose);
    ~Endpoint();

    // One more client that did not come over the socket: the machine's own /var/run/docker.sock.
    void serve(StreamPtr client);

private:
    explicit Endpoint(ChooseEngine choose);

    ChooseEngine m_choose;
    ListenerPtr m_listener;
    std::list<std::unique_ptr<HttpProxy>> m_proxies;
};

}  // namespace slipway
