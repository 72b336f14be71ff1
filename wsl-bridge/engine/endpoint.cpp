#include "wsl-bridge/engine/endpoint.h"

namespace slipway {
namespace {

constexpr int kOwnerOnly = 0600;

}  // namespace

Endpoint::Endpoint(ChooseEngine choose) : m_choose(std::move(choose)) {}

Endpoint::~Endpoint() = default;

Result<std::unique_ptr<Endpoint>> Endpoint::listen(Loop& loop, const std::filesystem::path& socket,
                                                   ChooseEngine choose)
{
    auto endpoint = std::unique_ptr<Endpoint>(new Endpoint(std::move(choose)));
    TRY(endpoint->m_listener,
        listenUnix(loop, socket, kOwnerOnly,
                   [self = endpoint.get()](StreamPtr client) { self->serve(std::move(client)); }));
    return endpoint;
}

void Endpoint::serve(StreamPtr client)
{
    auto place = m_proxies.emplace(m_proxies.end());
    *place = std::make_unique<HttpProxy>(m_choose, std::move(client),
                                         [this, place] { m_proxies.erase(place); });
    (*place)->start();
}

}  // namespace slipway
