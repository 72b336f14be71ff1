#include "linux-vm-agent/dial_out/outbound_clients.h"

#include "shared/io/uv_stream.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kLimit{5};

}  // namespace

void OutboundClients::lead(Descriptor client, v1::DialOut target, Refuse refuse)
{
    Place place = m_clients.emplace(m_clients.end());
    place->socket = std::move(client);
    place->question = m_parked.ask(
        std::move(target), &place->socket, kLimit,
        [this, place, refuse = std::move(refuse)](Result<Descriptor> stream) {
            auto ours = std::move(place->socket);
            if (stream && *stream)
                return relay(place, adoptSocket(m_loop, std::move(ours)), *std::move(stream));
            if (!stream && ours) refuse(std::move(ours), stream.error());
            m_clients.erase(place);
        });
}

void OutboundClients::lead(StreamPtr client, v1::DialOut target)
{
    Place place = m_clients.emplace(m_clients.end());
    place->stream = std::move(client);
    place->question =
        m_parked.ask(std::move(target), nullptr, kLimit, [this, place](Result<Descriptor> stream) {
            if (!stream) return void(m_clients.erase(place));
            relay(place, std::move(place->stream), *std::move(stream));
        });
}

void OutboundClients::relay(Place client, Result<StreamPtr> from, Descriptor stream)
{
    auto to = adoptSocket(m_loop, std::move(stream));
    if (!from || !to) return void(m_clients.erase(client));
    client->relay =
        std::make_unique<Relay>(*std::move(from), *std::move(to),
                                [this, client](const Result<>&) { m_clients.erase(client); });
    client->relay->start();
    client->question.reset();
}

}  // namespace slipway
