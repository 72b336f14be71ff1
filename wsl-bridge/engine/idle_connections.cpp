#include "wsl-bridge/engine/idle_connections.h"

#include <chrono>

namespace slipway {
namespace {

constexpr std::size_t kMost = 16;
constexpr std::chrono::seconds kKeptFor{30};  // After the last came.

}  // namespace

void IdleConnections::keep(std::unique_ptr<http::HttpStream> connection)
{
    if (!connection->quiet()) return;
    if (m_connections.size() == kMost) m_connections.pop_front();
    auto place = m_connections.insert(m_connections.end(), std::move(connection));
    (*place)->watch([this, place](const Result<>&) { m_connections.erase(place); });
    m_leftUnused.after(kKeptFor, [this] { m_connections.clear(); });
}

std::unique_ptr<http::HttpStream> IdleConnections::take()
{
    while (!m_connections.empty()) {
        auto connection = std::move(m_connections.back());
        m_connections.pop_back();
        connection->forget();
        if (connection->quiet()) return connection;  // And not one that spoke out of turn.
    }
    m_leftUnused.stop();
    return nullptr;
}

}  // namespace slipway
