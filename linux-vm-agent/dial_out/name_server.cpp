#include "linux-vm-agent/dial_out/name_server.h"

#include <algorithm>
#include <array>

#include "shared/core/log.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr std::array kOwnNames{"host.docker.internal", "gateway.docker.internal"};
constexpr std::uint32_t kOwnTtl = 60;
constexpr std::chrono::seconds kConnectLimit{2};  // A client asks again after 5 s, resolv.conf(5).
constexpr std::chrono::seconds kPatience{20};     // Longer than the bridge's own.
constexpr std::size_t kMaxPending = 10'000;
constexpr std::size_t kMaxClients = 4096;
// Who asks by UDP takes a new port for each question.
constexpr UdpOptions kUdp{.silence = 20s, .maxPeers = kMaxClients, .maxWaitingBytes = 64 * 1024};

}  // namespace

Result<std::unique_ptr<NameServer>> NameServer::listen(Loop& loop, ParkedStreams& parked,
                                                       const std::string& address,
                                                       std::uint16_t port)
{
    std::unique_ptr<NameServer> server(new NameServer(loop, parked, address));
    TRY(server->m_udp,
        listenUdp(
            loop, address, port,
            [self = server.get()](StreamPtr client) { self->arrived(std::move(client), true); },
            kUdp));
    TRY(server->m_tcp, listenTcp(loop, address, port, [self = server.get()](StreamPtr client) {
            self->arrived(std::move(client), false);
        }));
    return server;
}

NameServer::NameServer(Loop& loop, ParkedStreams& parked, std::string address)
    : m_loop(loop), m_parked(parked), m_address(std::move(address)), m_sweep(loop)
{
}

NameServer::~NameServer() = default;

void NameServer::arrived(StreamPtr client, bool udp)
{
    if (m_clients.size() >= 2 * kMaxClients) return;  // By TCP; the others have a limit already.
    ClientId id = m_nextClient++;
    m_clients[id].udp = udp;
    m_clients[id].stream = std::make_unique<FramedStream>(
        std::move(client),
        FramedStream::Events{.came = [this, id](std::string_view query) { asked(id, query); },
                             .ended = [this, id] { m_clients.erase(id); }});
}

void NameServer::asked(ClientId client, std::string_view query)
{
    if (query.size() < dns::kHeaderBytes) return;
    if (!answersItself(client, query)) askBridge(client, query);
}

bool NameServer::answersItself(ClientId client, std::string_view query)
{
    auto question = dns::questionOf(query);
    if (!question || !question->internet) return false;
    auto& stream = *m_clients.at(client).stream;
    auto is = [type = question->type](dns::Type wanted) {
        return type == static_cast<std::uint16_t>(wanted);
    };
    if (std::find(kOwnNames.begin(), kOwnNames.end(), question->name) != kOwnNames.end()) {
        std::vector<dns::Record> records;
        if (is(dns::Type::A))
            records.push_back({dns::Type::A, kOwnTtl, dns::addressData(m_address)});
        stream.send(dns::answerTo(query, *question, records));
        return true;
    }
    if (is(dns::Type::Ptr) && dns::addressAskedFor(question->name) == m_address) {
        stream.send(dns::answerTo(query, *question,
                                  {{dns::Type::Ptr, kOwnTtl, dns::nameData(kOwnNames[0])}}));
        return true;
    }
    return false;
}

void NameServer::askBridge(ClientId client, std::string_view query)
{
    if (m_pending.size() >= kMaxPending) return;
    if (m_pending.empty()) m_sweep.every(kPatience / 4, [this] { forgetOld(); });
    while (m_pending.contains(++m_lastNumber)) {
    }
    m_pending[m_lastNumber] = {client, std::string(query), Clock::now()};
    std::string numbered(query);
    dns::setId(numbered, m_lastNumber);
    if (m_bridge) return m_bridge->send(numbered);
    m_unsent.push_back(std::move(numbered));
    if (!m_connecting) connect();
}

void NameServer::connect()
{
    v1::DialOut names;
    names.mutable_names();
    m_connecting = m_parked.ask(names, nullptr, kConnectLimit, [this](Result<Descriptor> socket) {
        auto stream =
            socket ? adoptSocket(m_loop, *std::move(socket)) : tl::unexpected(socket.error());
        m_connecting.reset();
        if (!stream) {
            log::warn("names: {}", stream.error().message);
            return bridgeGone();
        }
        m_bridge = std::make_unique<FramedStream>(
            *std::move(stream),
            FramedStream::Events{.came = [this](std::string_view answer) { answered(answer); },
                                 .ended = [this] { bridgeGone(); }});
        for (const std::string& query : std::exchange(m_unsent, {})) m_bridge->send(query);
    });
}

void NameServer::answered(std::string_view answer)
{
    if (answer.size() < dns::kHeaderBytes) return;
    auto pending = m_pending.extract(dns::idOf(answer));
    if (pending) reply(pending.mapped(), std::string(answer));
    if (m_pending.empty()) m_sweep.stop();
}

void NameServer::reply(const Pending& to, std::string answer)
{
    auto client = m_clients.find(to.client);
    if (client == m_clients.end()) return;
    dns::setId(answer, dns::idOf(to.query));
    if (client->second.udp) {
        auto question = dns::questionOf(to.query);
        if (!question || answer.size() > dns::udpLimitOf(to.query, *question))
            answer = dns::truncated(answer);
    }
    client->second.stream->send(answer);
}

void NameServer::bridgeGone()
{
    m_bridge.reset();
    m_unsent.clear();
    m_sweep.stop();
    for (const auto& [number, pending] : std::exchange(m_pending, {}))
        reply(pending, dns::failureOf(pending.query, dns::Rcode::ServFail));
}

void NameServer::forgetOld()
{
    auto before = Clock::now() - kPatience;
    std::erase_if(m_pending, [before](const auto& each) { return each.second.since < before; });
    if (m_pending.empty()) m_sweep.stop();
}

}  // namespace slipway
