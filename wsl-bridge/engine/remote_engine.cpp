// Theory of operation. An attempt goes through three steps, each of which can be given up: the
// host's name becomes addresses (getaddrinfo, on libuv's pool), they are tried one after the other,
// and TLS is begun on the first that answers. The timer is over all of it.
#include "wsl-bridge/engine/remote_engine.h"

#include <netdb.h>

#include <fmt/format.h>

#include "shared/io/uv_stream.h"
#include "shared/tls/tls_stream.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kLimit{10};

class Resolving {
public:
    using Done = std::function<void(Result<std::vector<std::string>>)>;  // Numeric addresses.

    Resolving(Loop& loop, const std::string& host, Done done)
        : m_loop(loop), m_host(host), m_done(std::move(done)), m_request(new uv_getaddrinfo_t{})
    {
        m_request->data = this;
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        int failed = uv_getaddrinfo(loop.uv(), m_request, resolved, host.c_str(), nullptr, &hints);
        if (!failed) return;
        delete std::exchange(m_request, nullptr);
        m_loop.post(m_alive.wrap([this, failed] { finish(failUv(m_host, failed)); }));
    }
    ~Resolving()
    {
        if (!m_request) return;
        m_request->data = nullptr;
        uv_cancel(reinterpret_cast<uv_req_t*>(m_request));  // The callback frees it either way.
    }

private:
    static void resolved(uv_getaddrinfo_t* request, int failed, addrinfo* list)
    {
        std::unique_ptr<uv_getaddrinfo_t> ended(request);
        std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed(list, uv_freeaddrinfo);
        auto* self = static_cast<Resolving*>(request->data);
        if (!self) return;
        self->m_request = nullptr;
        if (failed) return self->finish(failUv("find " + self->m_host, failed));
        std::vector<std::string> addresses;
        for (const addrinfo* one = list; one; one = one->ai_next) {
            char text[INET6_ADDRSTRLEN];
            if (uv_ip_name(one->ai_addr, text, sizeof text) == 0) addresses.emplace_back(text);
        }
        self->finish(std::move(addresses));
    }

    void finish(Result<std::vector<std::string>> addresses)
    {
        auto done = std::exchange(m_done, nullptr);
        done(std::move(addresses));
    }

    Loop& m_loop;
    std::string m_host;
    Done m_done;
    uv_getaddrinfo_t* m_request;
    Alive m_alive;
};

class RemoteDialing final : public Dialing {
public:
    RemoteDialing(Loop& loop, EngineAddress address, std::optional<TlsContext> tls,
                  Dialer::StreamDone done)
        : m_loop(loop),
          m_address(std::move(address)),
          m_tls(std::move(tls)),
          m_done(std::move(done)),
          m_limit(loop)
    {
        m_limit.after(kLimit, [this] {
            finish(fail(Code::DeadlineExceeded,
                        fmt::format("{} does not answer in time", toText(m_address))));
        });
        if (!m_address.isTcp()) {
            m_connecting = connectUnix(m_loop, m_address.socket, [this](Result<StreamPtr> stream) {
                connected(std::move(stream));
            });
            return;
        }
        m_resolving = std::make_unique<Resolving>(
            m_loop, m_address.host, [this](Result<std::vector<std::string>> addresses) {
                if (!addresses) return finish(tl::unexpected(addresses.error()));
                m_addresses = *std::move(addresses);
                tryNext({Code::NotFound, m_address.host + " has no address"});
            });
    }

private:
    void tryNext(Error last)
    {
        if (m_next == m_addresses.size()) return finish(tl::unexpected(std::move(last)));
        const std::string& address = m_addresses[m_next++];
        m_connecting =
            connectTcp(m_loop, address, m_address.port, [this](Result<StreamPtr> stream) {
                if (!stream) return tryNext(stream.error());
                connected(std::move(stream));
            });
    }

    void connected(Result<StreamPtr> stream)
    {
        if (!stream || !m_tls) return finish(std::move(stream));
        m_handshake = startTls(m_loop, *std::move(stream), *m_tls, m_address.host,
                               [this](Result<StreamPtr> secure) { finish(std::move(secure)); });
    }

    void finish(Result<StreamPtr> stream)
    {
        m_limit.stop();
        auto done = std::exchange(m_done, nullptr);
        done(std::move(stream));
    }

    Loop& m_loop;
    EngineAddress m_address;
    std::optional<TlsContext> m_tls;
    Dialer::StreamDone m_done;
    Timer m_limit;
    std::unique_ptr<Resolving> m_resolving;
    std::vector<std::string> m_addresses;
    std::size_t m_next = 0;
    std::unique_ptr<Connecting> m_connecting;
    std::unique_ptr<TlsHandshake> m_handshake;
};

}  // namespace

DialEngine engineAt(Loop& loop, EngineAddress address, std::optional<TlsContext> tls)
{
    return [&loop, address = std::move(address), tls = std::move(tls)](Dialer::StreamDone done) {
        return std::make_unique<RemoteDialing>(loop, address, tls, std::move(done));
    };
}

}  // namespace slipway
