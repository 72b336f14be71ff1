#include "shared/io/relay.h"

#include <cerrno>

namespace slipway {
namespace {

// What is much at once, and what is little again.
constexpr std::size_t kMuchBytes = 64u << 10;
constexpr std::size_t kLittleBytes = 16u << 10;
constexpr std::size_t kFirstFewBytes = 4u << 10;

}  // namespace

Relay::Relay(StreamPtr left, StreamPtr right, Done done)
    : m_left(std::move(left)),
      m_right(std::move(right)),
      m_toRight{*m_left, *m_right},
      m_toLeft{*m_right, *m_left},
      m_done(std::move(done))
{
}

void Relay::start()
{
    pump(m_toRight);
    pump(m_toLeft);
}

void Relay::pump(Direction& way)
{
    if (way.bulk)
        way.from.awaitInput([this, &way] { splice(way); });
    else
        copy(way);
}

void Relay::copy(Direction& way)
{
    way.from.read([this, &way](Result<ByteStream::Bytes> data) {
        if (!data) return finish(tl::unexpected<Error>(std::move(data).error()));
        if (data->empty()) return endOf(way.to);
        m_bytes += data->size();
        way.bulk = data->size() >= kMuchBytes && way.from.socket() && way.to.socket();
        writeOrWait(way.to, *data, [this, &way](Result<> written) {
            if (!written) return finish(std::move(written));
            pump(way);
        });
    });
}

void Relay::splice(Direction& way)
{
    way.bulk = false;
    way.pipe = lendPipe();
    if (!way.pipe) return pump(way);
    auto taken = way.pipe->takeNow(*way.from.socket());
    if (!taken && errno != EAGAIN && errno != EINVAL) return finish(failErrno("splice", errno));
    way.bulk = taken.value_or(0) >= kLittleBytes;  // If it has ended, reading will tell.
    m_bytes += taken.value_or(0);
    drain(way);
}

void Relay::drain(Direction& way)
{
    if (!way.pipe->giveNow(*way.to.socket())) return finish(failErrno("splice", errno));
    if (way.pipe->size() == 0) {
        way.pipe.reset();
        way.firstFew = {};
        return pump(way);
    }
    way.firstFew.resize(kFirstFewBytes);
    way.firstFew.resize(way.pipe->takeOut(way.firstFew));
    way.to.write(way.firstFew, [this, &way](Result<> written) {
        if (!written) return finish(std::move(written));
        drain(way);
    });
}

void Relay::endOf(ByteStream& to)
{
    to.closeWrite();
    if (--m_open == 0) finish({});
}

void Relay::finish(Result<> result)
{
    if (!m_done) return;
    auto done = std::exchange(m_done, nullptr);
    if (!result) {
        m_left->abort();
        m_right->abort();
    }
    m_left.reset();
    m_right.reset();
    done(std::move(result));
}

}  // namespace slipway
