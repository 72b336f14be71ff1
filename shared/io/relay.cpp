#include "shared/io/relay.h"

namespace slipway {

Relay::Relay(StreamPtr left, StreamPtr right, Done done)
    : m_left(std::move(left)), m_right(std::move(right)), m_done(std::move(done))
{
}

void Relay::start()
{
    pump(*m_left, *m_right);
    pump(*m_right, *m_left);
}

void Relay::pump(ByteStream& from, ByteStream& to)
{
    from.read([this, &from, &to](Result<ByteStream::Bytes> data) {
        if (!data) return finish(tl::unexpected<Error>(std::move(data).error()));
        if (data->empty()) return endOf(to);
        m_bytes += data->size();
        writeOrWait(to, *data, [this, &from, &to](Result<> written) {
            if (!written) return finish(std::move(written));
            pump(from, to);
        });
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
    m_left.reset();
    m_right.reset();
    done(std::move(result));
}

}  // namespace slipway
