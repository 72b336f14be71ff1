#include "wsl-bridge/egress/parked_streams.h"

#include <chrono>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr int kPlaces = 8;
constexpr std::chrono::milliseconds kRetry{200};

}  // namespace

// One stream, while it is being dialled and while it waits for a DialOut.
struct ParkedStreams::Place {
    explicit Place(Loop& loop) : retry(loop) {}

    DialingPtr dialing;
    std::unique_ptr<HeadSocket> parked;
    Descriptor client;
    Timer retry;
};

ParkedStreams::ParkedStreams(Loop& loop, Dialer& dialer, Asked asked)
    : m_loop(loop), m_dialer(dialer), m_asked(std::move(asked))
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
    auto asked = [this, &place](Result<std::string> bytes) {
        v1::DialOut target;
        if (!bytes) return parkLater(place);  // The agent has gone; it may be back soon.
        if (!target.ParseFromString(*bytes)) {
            log::warn("egress: the agent says what is no DialOut");
            return parkLater(place);
        }
        auto stream = std::move(place.parked);
        auto client = std::move(place.client);
        park(place);
        m_asked(target, std::move(stream), std::move(client));
    };
    place.parked->receive(kMaxHeadBytes, asked, &place.client);
}

void ParkedStreams::parkLater(Place& place)
{
    place.dialing.reset();
    place.parked.reset();
    place.client.reset();
    place.retry.after(kRetry, [this, &place] { park(place); });
}

}  // namespace slipway
