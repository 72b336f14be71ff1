// Theory of operation. A parked stream has a receive under way from the start, which serves two
// ends: a stream that the bridge closes is dropped at once, and for one that is taken it brings the
// DialOutAnswer. A guest takes the oldest, writes its DialOut, and relays once the bridge has said
// yes. Without a parked stream it waits a little, as the bridge parks another whenever one was
// taken.
#include "linux-vm-agent/parked_streams.h"

#include <algorithm>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/io/relay.h"
#include "shared/proto/agent.pb.h"

namespace slipway {
namespace {

constexpr int kOwnerAndGroup = 0660;  // As dockerd's own.
constexpr std::chrono::seconds kWait{5};
constexpr std::size_t kMaxAnswerBytes = 4096;

std::string unavailable(std::string_view why)
{
    auto body = fmt::format("{{\"message\":\"{}\"}}\n", why);
    return fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
}

}  // namespace

class ParkedStreams::Guest {
public:
    Guest(ParkedStreams& owner, std::uint64_t id, StreamPtr client)
        : m_owner(owner), m_id(id), m_client(std::move(client)), m_timer(owner.m_loop)
    {
        m_timer.after(kWait,
                      [this] { refuse("slipway-bridge is not there; run `slipway start`"); });
    }

    void take(std::unique_ptr<HeadSocket> stream)
    {
        m_socket = std::move(stream);
        v1::DialOut dial;
        dial.mutable_endpoint();
        m_socket->send(dial, [this](Result<> sent) {
            if (!sent) refuse("the stream to slipway-bridge broke; try again");
        });
    }

    void answered(const Result<std::string>& bytes)
    {
        v1::DialOutAnswer answer;
        if (!bytes || !answer.ParseFromString(*bytes))
            return refuse("the stream to slipway-bridge broke; try again");
        if (answer.code()) {
            log::warn("docker socket: {}", answer.message());
            return refuse("slipway-bridge did not serve its endpoint; see `slipway logs bridge`");
        }
        auto stream = adoptSocket(m_owner.m_loop, m_socket->release());
        if (!stream) return end();
        m_timer.stop();
        m_socket.reset();
        m_relay = std::make_unique<Relay>(std::move(m_client), std::move(*stream),
                                          [this](const Result<>&) { end(); });
        m_relay->start();
    }

private:
    void refuse(std::string_view why)
    {
        std::erase(m_owner.m_waiting, m_id);
        m_timer.stop();
        m_socket.reset();
        m_refusal = unavailable(why);
        m_client->write(bytesOf(m_refusal), [this](const Result<>&) { end(); });
    }

    void end() { m_owner.m_guests.erase(m_id); }  // Destroys this.

    ParkedStreams& m_owner;
    std::uint64_t m_id;
    StreamPtr m_client;
    Timer m_timer;
    std::unique_ptr<HeadSocket> m_socket;
    std::unique_ptr<Relay> m_relay;
    std::string m_refusal;
};

ParkedStreams::ParkedStreams(Loop& loop) : m_loop(loop) {}

ParkedStreams::~ParkedStreams() = default;

Result<> ParkedStreams::serveEngine(const std::filesystem::path& socket)
{
    TRY(m_listener, listenUnix(m_loop, socket, kOwnerAndGroup,
                               [this](StreamPtr client) { arrived(std::move(client)); }));
    return {};
}

void ParkedStreams::park(Descriptor stream)
{
    auto id = m_nextId++;
    auto& parked = m_parked[id] = std::make_unique<HeadSocket>(m_loop, std::move(stream));
    parked->receive(kMaxAnswerBytes,
                    [this, id](const Result<std::string>& bytes) { received(id, bytes); });
    serveWaiting();
}

void ParkedStreams::received(std::uint64_t stream, const Result<std::string>& bytes)
{
    if (m_parked.erase(stream)) return;  // Closed by the bridge, or broken.
    auto guest = m_taken.extract(stream);
    auto known = guest ? m_guests.find(guest.mapped()) : m_guests.end();
    if (known != m_guests.end()) known->second->answered(bytes);
}

void ParkedStreams::arrived(StreamPtr client)
{
    auto id = m_nextId++;
    m_guests[id] = std::make_unique<Guest>(*this, id, std::move(client));
    m_waiting.push_back(id);
    serveWaiting();
}

void ParkedStreams::serveWaiting()
{
    while (!m_waiting.empty() && !m_parked.empty()) {
        auto guest = m_waiting.front();
        m_waiting.pop_front();
        auto oldest = m_parked.begin();
        auto stream = std::move(oldest->second);
        m_taken[oldest->first] = guest;
        m_parked.erase(oldest);
        m_guests.at(guest)->take(std::move(stream));
    }
}

}  // namespace slipway
