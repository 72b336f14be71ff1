#include "wsl-bridge/egress/parked_streams.h"

#include <chrono>

#include "shared/core/log.h"
#include "shared/io/uv_stream.h"

namespace slipway {
namespace {

constexpr int kPlaces = 4;
constexpr std::chrono::milliseconds kRetry{200};

}  // namespace

// One stream at each stage of its life: being dialled, waiting for a DialOut, being answered.
struct ParkedStreams::Place {
    explicit Place(Loop& loop) : retry(loop) {}

    DialingPtr dialing;
    std::unique_ptr<HeadSocket> parked;
    Timer retry;
};

ParkedStreams::ParkedStreams(Loop& loop, Dialer& dialer, ToEndpoint toEndpoint)
    : m_loop(loop), m_dialer(dialer), m_toEndpoint(std::move(toEndpoint))
{
    for (int i = 0; i < kPlaces; ++i) park(m_places.emplace_back(loop));
}

ParkedStreams::~ParkedStreams() = default;

void ParkedStreams::park(Place& place)
{
    place.dialing = m_dialer.dialSocket(helloPark(), [this, &place](Result<Descriptor> socket) {
        if (!socket) return parkLater(place);
        waitFor(place, *std::move(socket));
    });
}

void ParkedStreams::waitFor(Place& place, Descriptor socket)
{
    place.dialing.reset();
    place.parked = std::make_unique<HeadSocket>(m_loop, std::move(socket));
    place.parked->receive(kMaxHeadBytes, [this, &place](Result<std::string> bytes) {
        if (!bytes) return parkLater(place);  // The agent has gone; it may be back soon.
        asked(place, *bytes);
    });
}

void ParkedStreams::asked(Place& place, const std::string& bytes)
{
    v1::DialOut request;
    v1::DialOutAnswer answer;
    if (!request.ParseFromString(bytes) || !request.has_endpoint()) {
        answer.set_code(static_cast<std::uint32_t>(Code::Unimplemented));
        answer.set_message("this bridge does not know that way out");
        log::warn("egress: the agent asked for an unknown way out");
    }
    place.parked->send(answer, [this, &place, ok = !answer.code()](Result<> sent) {
        if (!sent || !ok) return parkLater(place);
        hand(place);
    });
}

void ParkedStreams::hand(Place& place)
{
    auto stream = adoptSocket(m_loop, place.parked->release());
    place.parked.reset();
    park(place);
    if (stream) m_toEndpoint(*std::move(stream));
}

void ParkedStreams::parkLater(Place& place)
{
    place.dialing.reset();
    place.parked.reset();
    place.retry.after(kRetry, [this, &place] { park(place); });
}

}  // namespace slipway
