// Theory of operation. Over plain TCP a client is served as it comes. With TLS it first shakes
// hands, for ten seconds at most; only so many may do that at once, and one more takes the place of
// the one that has taken longest, so that strangers who say nothing keep nobody out for long.
#include "wsl-bridge/engine/tcp_endpoint.h"

#include <list>

#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/tls/tls_stream.h"
#include "wsl-bridge/engine/endpoint_certificates.h"
#include "wsl-bridge/engine/engine_address.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kHandshakeLimit{10};
constexpr std::size_t kMaxHandshakes = 64;

class Listening final : public TcpEndpoint {
public:
    Listening(Loop& loop, Serve serve) : m_loop(loop), m_serve(std::move(serve)) {}

    Result<> begin(const TcpSettings& settings, const std::filesystem::path& certificates)
    {
        if (settings.tls) {
            std::vector<std::string> hosts{"localhost", "127.0.0.1", "::1", settings.address};
            std::string name(256, '\0');
            if (::gethostname(name.data(), name.size() - 1) == 0) hosts.push_back(name.c_str());
            TRY(auto files, serverCertificates(certificates, hosts));
            TRY(auto context, TlsContext::server(files));
            m_tls = std::move(context);
        }
        TRY(m_listener, listenTcp(m_loop, settings.address, settings.port,
                                  [this](StreamPtr client) { accepted(std::move(client)); }));
        return {};
    }

    std::uint16_t port() const override { return m_listener->port(); }

private:
    struct Shaking {
        explicit Shaking(Loop& loop) : limit(loop) {}
        Timer limit;
        std::unique_ptr<TlsHandshake> handshake;
    };

    void accepted(StreamPtr client)
    {
        if (!m_tls) return m_serve(std::move(client));
        if (m_shaking.size() == kMaxHandshakes) m_shaking.pop_front();
        auto place = m_shaking.emplace(m_shaking.end(), m_loop);
        place->limit.after(kHandshakeLimit, [this, place] { m_shaking.erase(place); });
        place->handshake = startTls(m_loop, std::move(client), *m_tls, "",
                                    [this, place](Result<StreamPtr> secure) {
                                        m_shaking.erase(place);
                                        if (secure) return m_serve(*std::move(secure));
                                        log::debug("endpoint: {}", secure.error().message);
                                    });
    }

    Loop& m_loop;
    Serve m_serve;
    std::optional<TlsContext> m_tls;
    ListenerPtr m_listener;
    std::list<Shaking> m_shaking;
};

}  // namespace

Result<std::unique_ptr<TcpEndpoint>> TcpEndpoint::listen(Loop& loop, const TcpSettings& settings,
                                                         const std::filesystem::path& certificates,
                                                         Serve serve)
{
    bool loopback = EngineAddress{.host = settings.address, .port = settings.port}.isLoopback();
    if (!settings.tls && !loopback)
        return fail(Code::InvalidArgument,
                    fmt::format("without TLS {} would let other hosts command the engine: use TLS, "
                                "or 127.0.0.1",
                                settings.address));
    auto endpoint = std::make_unique<Listening>(loop, std::move(serve));
    TRY_VOID(endpoint->begin(settings, certificates));
    return endpoint;
}

std::string toText(const TcpSettings& settings)
{
    return toText(EngineAddress{.host = settings.address, .port = settings.port});
}

}  // namespace slipway
