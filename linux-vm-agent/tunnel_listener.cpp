// Theory of operation. Each accepted socket is a Stream, which goes one way: handshake, then for
// `engine` and `connect` a connection to the target in the machine (before the answer, so that the
// bridge hears of a refusal), the answer, and a relay until both directions have ended. A bridge
// that takes sockets gets the target's with the answer, and the Stream ends with it, as it does for
// the other services, whose descriptor goes to its taker. A Stream that carries others lasts as
// long as its carrier.
#include "linux-vm-agent/tunnel_listener.h"

#include <fmt/format.h>

#include "linux-vm-agent/multiplexed_streams.h"
#include "shared/core/log.h"
#include "shared/io/relay.h"

namespace slipway {
namespace {

constexpr int kOwnerOnly = 0600;
constexpr std::chrono::seconds kLogPause{1};

}  // namespace

class TunnelListener::Stream {
public:
    Stream(TunnelListener& owner, std::uint64_t id, Descriptor socket)
        : m_owner(owner),
          m_id(id),
          m_handshake(welcome(
              owner.m_loop, std::move(socket), owner.m_token,
              [this](Visitor& visitor) { asked(visitor); },
              [this](Error why) {
                  m_owner.turnedAway(why);
                  end();
              }))
    {
    }

private:
    using Service = v1::StreamHello::ServiceCase;

    void asked(Visitor& visitor)
    {
        m_visitor = &visitor;
        const auto& services = m_owner.m_services;
        switch (visitor.hello().service_case()) {
            case Service::kEngine:
            case Service::kConnect:
                return connect();
            case Service::kMultiplex:
                return visitor.answer({}, [this](Result<Descriptor> socket) {
                    if (!socket) return end();
                    carry(std::move(*socket));
                });
            case Service::kControl:
                return handOver(services.control);
            case Service::kPark:
                return handOver(
                    [&services, takes = visitor.hello().takes_socket()](Descriptor socket) {
                        services.park(std::move(socket), takes);
                    });
            case Service::kShare:
                if (!services.share)
                    return refuse(
                        {Code::FailedPrecondition,
                         "this machine has no file relay; it was started with files = direct"});
                return handOver(
                    [&services, channel = visitor.hello().share().channel()](Descriptor socket) {
                        services.share(channel, std::move(socket));
                    });
            case Service::SERVICE_NOT_SET:
                break;
        }
        refuse({Code::Unimplemented,
                "the agent does not know this service; restart Slipway so that "
                "bridge and agent are of one release"});
    }

    void connect()
    {
        auto attempt =
            connectTarget(m_owner.m_loop, m_visitor->hello(), m_owner.m_services.isPublished,
                          [this](Result<Descriptor> target) { connected(std::move(target)); });
        if (attempt.now) return connected(*std::move(attempt.now));
        m_connecting = std::move(attempt.later);
    }

    void connected(Result<Descriptor> target)
    {
        if (!target) return refuse(target.error());
        if (m_visitor->hello().takes_socket())
            return m_visitor->handOver(*std::move(target), [this](const Result<>&) { end(); });
        m_target = *std::move(target);
        m_visitor->answer({}, [this](Result<Descriptor> socket) {
            if (!socket) return end();
            relay(std::move(*socket));
        });
    }

    void relay(Descriptor socket)
    {
        auto stream = adoptSocket(m_owner.m_loop, std::move(socket), goneOf(m_visitor->hello()));
        auto target = adoptSocket(m_owner.m_loop, std::move(m_target));
        if (!stream || !target) return end();
        m_handshake.reset();
        m_connecting.reset();
        m_relay = std::make_unique<Relay>(*std::move(stream), *std::move(target),
                                          [this](const Result<>&) { end(); });
        m_relay->start();
    }

    void carry(Descriptor socket)
    {
        auto carrier = adoptSocket(m_owner.m_loop, std::move(socket));
        if (!carrier) return end();
        m_handshake.reset();
        auto park = [this](Descriptor stream) {
            m_owner.m_services.park(std::move(stream), false);
        };
        m_carried = std::make_unique<MultiplexedStreams>(m_owner.m_loop, *std::move(carrier),
                                                         m_owner.m_services.isPublished, park,
                                                         [this] { end(); });
    }

    void handOver(std::function<void(Descriptor)> taker)
    {
        m_visitor->answer({}, [this, taker = std::move(taker)](Result<Descriptor> socket) {
            if (socket) taker(std::move(*socket));
            end();
        });
    }

    void refuse(Error why)
    {
        log::debug("tunnel: refused: {}", why.message);
        m_visitor->answer(tl::unexpected(std::move(why)),
                          [this](const Result<Descriptor>&) { end(); });
    }

    void end() { m_owner.m_streams.erase(m_id); }  // Destroys this.

    TunnelListener& m_owner;
    std::uint64_t m_id;
    std::unique_ptr<Handshake> m_handshake;
    Visitor* m_visitor = nullptr;  // Part of m_handshake.
    std::unique_ptr<Connecting> m_connecting;
    Descriptor m_target;  // To be relayed to.
    std::unique_ptr<Relay> m_relay;
    std::unique_ptr<MultiplexedStreams> m_carried;
};

Result<std::unique_ptr<TunnelListener>> TunnelListener::open(Loop& loop,
                                                             const std::filesystem::path& socket,
                                                             const Token& token,
                                                             TunnelServices services)
{
    std::unique_ptr<TunnelListener> listener(new TunnelListener(loop, token, std::move(services)));
    TRY(listener->m_acceptor, UnixAcceptor::listen(loop, socket, kOwnerOnly,
                                                   [owner = listener.get()](Descriptor accepted) {
                                                       owner->accepted(std::move(accepted));
                                                   }));
    return listener;
}

TunnelListener::TunnelListener(Loop& loop, const Token& token, TunnelServices services)
    : m_loop(loop), m_token(token), m_services(std::move(services))
{
}

TunnelListener::~TunnelListener() = default;

void TunnelListener::accepted(Descriptor socket)
{
    auto id = m_nextStream++;
    m_streams[id] = std::make_unique<Stream>(*this, id, std::move(socket));
}

// At most one line a second, whoever knocks.
void TunnelListener::turnedAway(const Error& why)
{
    auto now = std::chrono::steady_clock::now();
    if (m_lastLogged != decltype(now){} && now - m_lastLogged < kLogPause) {
        ++m_unlogged;
        return;
    }
    log::warn("tunnel: turned away {}{}", why.message,
              m_unlogged ? fmt::format(" (and {} more)", m_unlogged) : "");
    m_lastLogged = now;
    m_unlogged = 0;
}

}  // namespace slipway
