#include "linux-vm-agent/multiplexed_streams.h"

#include "shared/core/log.h"

namespace slipway {

MultiplexedStreams::MultiplexedStreams(Loop& loop, StreamPtr carrier, IsPublished isPublished,
                                       Park park, std::function<void()> ended)
    : m_loop(loop),
      m_isPublished(std::move(isPublished)),
      m_park(std::move(park)),
      m_multiplexer(
          loop, std::move(carrier),
          [this](std::unique_ptr<Multiplexer::Visit> visit) { asked(std::move(visit)); },
          std::move(ended))
{
}

void MultiplexedStreams::asked(std::unique_ptr<Multiplexer::Visit> visit)
{
    Place stream = m_streams.emplace(m_streams.end());
    stream->visit = std::move(visit);
    const v1::StreamHello& hello = stream->visit->hello();
    if (hello.has_park()) return park(stream);
    if (!hello.has_engine() && !hello.has_connect())
        return reached(stream,
                       fail(Code::Unimplemented, "a service that does not ride with others"));
    auto attempt = connectTarget(
        m_loop, hello, m_isPublished,
        [this, stream](Result<Descriptor> target) { reached(stream, std::move(target)); });
    if (attempt.now) return reached(stream, *std::move(attempt.now));
    stream->connecting = std::move(attempt.later);
}

void MultiplexedStreams::reached(Place stream, Result<Descriptor> target)
{
    auto far = target ? adoptSocket(m_loop, *std::move(target)) : tl::unexpected(target.error());
    if (!far) {
        log::debug("tunnel: refused: {}", far.error().message);
        stream->visit->refuse(far.error());
        return void(m_streams.erase(stream));
    }
    stream->relay =
        std::make_unique<Relay>(stream->visit->accept(), *std::move(far),
                                [this, stream](const Result<>&) { m_streams.erase(stream); });
    stream->visit.reset();
    stream->relay->start();
    stream->connecting.reset();
}

void MultiplexedStreams::park(Place stream)
{
    auto pair = makeSocketPair();
    if (!pair) return reached(stream, tl::unexpected(pair.error()));
    reached(stream, std::move(pair->one));
    m_park(std::move(pair->other));
}

}  // namespace slipway
