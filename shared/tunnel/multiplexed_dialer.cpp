// Theory of operation. A carrier is dialled when it is first needed, and again after it has broken.
// A stream goes by the carrier that has the fewest, which are dialled up to kCarriers before one
// gets a second stream; while one is being dialled, those who want it wait. `park` needs a socket,
// as it has to be waited on without a read ahead: it gets one end of a pair, relayed to its stream.
#include "shared/tunnel/multiplexed_dialer.h"

#include <algorithm>
#include <array>
#include <list>

#include "shared/io/connect_socket.h"
#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/multiplexer.h"

namespace slipway {
namespace {

constexpr std::size_t kCarriers = 4;

class MultiplexedDialer final : public Dialer {
public:
    MultiplexedDialer(Loop& loop, Dialer& carriers) : m_loop(loop), m_dialer(carriers) {}
    ~MultiplexedDialer() override
    {
        for (Carrier& carrier : m_carriers)
            serve(carrier, {Code::Unavailable, "the tunnel is being closed"});
    }

    DialingPtr dial(v1::StreamHello hello, StreamDone done) override
    {
        auto waiting = std::make_unique<Waiting>(std::move(hello), std::move(done));
        waiting->carrier = &freest();
        take(*waiting);
        return waiting;
    }

    DialingPtr dialSocket(v1::StreamHello hello, DialDone done) override
    {
        if (!hello.has_park()) return m_dialer.dialSocket(std::move(hello), std::move(done));
        return dial(std::move(hello), [this, done = std::move(done)](Result<StreamPtr> stream) {
            auto report = done;
            if (!stream) return report(tl::unexpected(stream.error()));
            report(socketFor(*std::move(stream)));
        });
    }

private:
    struct Waiting;
    struct Carrier {
        DialingPtr dialing;
        std::unique_ptr<Multiplexer> streams;
        std::list<Waiting*> waiting;

        std::size_t load() const { return (streams ? streams->streams() : 0) + waiting.size(); }
    };
    struct Waiting final : Dialing {
        Waiting(v1::StreamHello h, StreamDone d) : hello(std::move(h)), done(std::move(d)) {}
        ~Waiting() override
        {
            if (carrier) carrier->waiting.remove(this);
        }
        v1::StreamHello hello;
        StreamDone done;
        Carrier* carrier = nullptr;  // While it waits for one.
        DialingPtr opening;
    };

    Carrier& freest()
    {
        return *std::min_element(
            m_carriers.begin(), m_carriers.end(),
            [](const Carrier& a, const Carrier& b) { return a.load() < b.load(); });
    }

    void take(Waiting& waiting)
    {
        Carrier& carrier = *waiting.carrier;
        if (carrier.streams) return open(waiting);
        carrier.waiting.push_back(&waiting);
        if (carrier.dialing) return;
        v1::StreamHello hello;
        hello.mutable_multiplex();
        carrier.dialing = m_dialer.dial(hello, [this, &carrier](Result<StreamPtr> stream) {
            dialed(carrier, std::move(stream));
        });
    }

    void dialed(Carrier& carrier, Result<StreamPtr> stream)
    {
        auto dialing = std::move(carrier.dialing);  // Until this returns.
        if (stream)
            carrier.streams = std::make_unique<Multiplexer>(
                m_loop, *std::move(stream), nullptr, [&carrier] { carrier.streams.reset(); });
        serve(carrier, stream ? Error{} : stream.error());
    }

    // Those who wait: by its streams, or with the error where it has none.
    static void serve(Carrier& carrier, const Error& error)
    {
        while (!carrier.waiting.empty()) {
            Waiting& next = *carrier.waiting.front();
            carrier.waiting.pop_front();
            if (carrier.streams) {
                open(next);
                continue;
            }
            next.carrier = nullptr;
            auto report = next.done;  // Outlives it, which `report` may destroy.
            report(tl::unexpected(error));
        }
    }

    static void open(Waiting& waiting)
    {
        Carrier* carrier = std::exchange(waiting.carrier, nullptr);
        waiting.opening = carrier->streams->open(waiting.hello, waiting.done);
    }

    Result<Descriptor> socketFor(StreamPtr stream)
    {
        TRY(auto pair, makeSocketPair());
        TRY(auto near, adoptSocket(m_loop, std::move(pair.one)));
        auto place = m_relays.emplace(m_relays.end());
        *place = std::make_unique<Relay>(std::move(near), std::move(stream),
                                         [this, place](const Result<>&) { m_relays.erase(place); });
        (*place)->start();
        return std::move(pair.other);
    }

    Loop& m_loop;
    Dialer& m_dialer;
    std::list<std::unique_ptr<Relay>> m_relays;
    std::array<Carrier, kCarriers> m_carriers;
};

}  // namespace

std::unique_ptr<Dialer> multiplexedDialer(Loop& loop, Dialer& carriers)
{
    return std::make_unique<MultiplexedDialer>(loop, carriers);
}

}  // namespace slipway
