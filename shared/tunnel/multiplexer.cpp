#include "shared/tunnel/multiplexer.h"

#include <algorithm>
#include <utility>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::size_t kHeadBytes = 8;
constexpr std::size_t kBatchBytes = 128 * 1024;  // For one write of the carrier.

void appendNumber(std::string& to, std::uint32_t value, std::size_t bytes)
{
    for (std::size_t i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i));
}

std::uint32_t numberAt(std::string_view bytes, std::size_t at, std::size_t size)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    return value;
}

void appendFrame(std::string& to, std::uint32_t id, std::uint16_t kind, std::string_view payload)
{
    appendNumber(to, id, 4);
    appendNumber(to, kind, 2);
    appendNumber(to, static_cast<std::uint32_t>(payload.size()), 2);
    to += payload;
}

}  // namespace

// One stream's state, held by the multiplexer and by whoever uses the stream.
class Multiplexer::Channel {
public:
    Channel(Multiplexer& owner, std::uint32_t number) : m_owner(&owner), id(number) {}

    // --- What the other end sends.

    bool came(std::string_view bytes)
    {
        if (m_endCame ||
            m_unread.size() + m_handed.size() + m_uncredited + bytes.size() > kWindowBytes)
            return false;
        m_unread.append(bytes);
        deliver();
        return true;
    }
    void endCame()
    {
        m_endCame = true;
        deliver();
        forgetIfOver();
    }
    void credited(std::uint32_t bytes)
    {
        m_credit = std::min<std::size_t>(m_credit + bytes, kWindowBytes);
    }
    // Reset by the other end, or without a carrier.
    void broke(const Error& why)
    {
        m_owner = nullptr;
        m_broken = why;
        m_unread.clear();
        if (auto done = std::exchange(answered, nullptr)) done(tl::unexpected(why));
        if (auto done = std::exchange(m_readDone, nullptr)) done(tl::unexpected(why));
        // Unless that has dropped it.
        if (auto done = std::exchange(m_writeDone, nullptr)) done(tl::unexpected(why));
    }

    // --- What its user does.

    void read(Loop& loop, ByteStream::ReadDone done, const std::shared_ptr<Channel>& self)
    {
        CHECK(!m_readDone);
        m_readDone = std::move(done);
        m_uncredited += m_handed.size();
        m_handed.clear();
        giveCredit();
        if (m_unread.empty() && !m_endCame && !m_broken) return;
        loop.post([weak = std::weak_ptr(self)] {
            if (auto channel = weak.lock()) channel->deliver();
        });
    }

    void write(Loop& loop, ByteStream::Bytes data, ByteStream::WriteDone done,
               const std::shared_ptr<Channel>& self)
    {
        CHECK(!m_writeDone && !m_endSent);
        m_writeDone = std::move(done);
        m_toWrite = textOf(data);
        if (!m_broken && !m_toWrite.empty()) return m_owner->hasBytes(self);
        loop.post([weak = std::weak_ptr(self)] {
            if (auto channel = weak.lock()) channel->written();
        });
    }

    void closeWrite()
    {
        if (m_broken || std::exchange(m_endSent, true)) return;
        say(Kind::End);
        forgetIfOver();
    }

    // Its user has gone.
    void drop()
    {
        m_readDone = nullptr;
        m_writeDone = nullptr;
        m_toWrite = {};
        say(Kind::Reset);
        if (m_owner) std::exchange(m_owner, nullptr)->forget(id);
    }

    void say(Kind kind, std::string_view payload = {})
    {
        if (m_owner) m_owner->command(id, kind, payload);
    }

    // --- For its turn.

    bool maySend() const { return !m_toWrite.empty() && m_credit > 0; }
    void fill(std::string& frames)
    {
        auto piece = m_toWrite.substr(0, std::min(m_credit, kMaxFrameBytes));
        appendFrame(frames, id, static_cast<std::uint16_t>(Kind::Data), piece);
        m_credit -= piece.size();
        m_toWrite.remove_prefix(piece.size());
    }
    bool hasWritten() const { return m_toWrite.empty() && m_writeDone; }
    void written()
    {
        auto done = std::exchange(m_writeDone, nullptr);
        if (!done) return;
        m_broken ? done(tl::unexpected(*m_broken)) : done({});
    }
    bool queued = false;  // For its turn.

private:
    void deliver()
    {
        if (!m_readDone) return;
        if (m_broken) return std::exchange(m_readDone, nullptr)(tl::unexpected(*m_broken));
        if (m_unread.empty() && !m_endCame) return;
        m_handed.swap(m_unread);
        std::exchange(m_readDone, nullptr)(bytesOf(m_handed));
    }

    void giveCredit()
    {
        if (m_endCame || m_uncredited < kWindowBytes / 2) return;
        std::string bytes;
        appendNumber(bytes, static_cast<std::uint32_t>(std::exchange(m_uncredited, 0)), 4);
        say(Kind::Credit, bytes);
    }

    // Both ends have said so: nothing of it will come any more.
    void forgetIfOver()
    {
        if (m_endCame && m_endSent && m_owner) std::exchange(m_owner, nullptr)->forget(id);
    }

    Multiplexer* m_owner;  // Null: it has gone, or the stream is over.
    std::string m_unread;
    std::string m_handed;
    std::size_t m_uncredited = 0;  // Read, and not told yet.
    ByteStream::ReadDone m_readDone;
    std::size_t m_credit = kWindowBytes;
    std::string_view m_toWrite;
    ByteStream::WriteDone m_writeDone;
    bool m_endCame = false;
    bool m_endSent = false;
    std::optional<Error> m_broken;

public:
    const std::uint32_t id;
    std::function<void(Result<>)> answered;  // Of one that was opened here, until it is.
};

class Multiplexer::Stream final : public ByteStream {
public:
    Stream(Loop& loop, ChannelPtr channel) : m_loop(loop), m_channel(std::move(channel)) {}
    ~Stream() override { m_channel->drop(); }

    void read(ReadDone done) override { m_channel->read(m_loop, std::move(done), m_channel); }
    void write(Bytes data, WriteDone done) override
    {
        m_channel->write(m_loop, data, std::move(done), m_channel);
    }
    void closeWrite() override { m_channel->closeWrite(); }

private:
    Loop& m_loop;
    ChannelPtr m_channel;
};

class Multiplexer::Opening final : public Dialing {
public:
    explicit Opening(ChannelPtr channel) : m_channel(std::move(channel)) {}
    ~Opening() override
    {
        if (std::exchange(m_channel->answered, nullptr)) m_channel->drop();
    }

private:
    ChannelPtr m_channel;
};

class Multiplexer::Caller final : public Visit {
public:
    Caller(Loop& loop, ChannelPtr channel, v1::StreamHello hello)
        : m_loop(loop), m_channel(std::move(channel)), m_hello(std::move(hello))
    {
    }
    ~Caller() override
    {
        if (m_channel) refuse({Code::Unavailable, "nobody takes it"});
    }

    const v1::StreamHello& hello() const override { return m_hello; }

    StreamPtr accept() override
    {
        m_channel->say(Kind::Answer, v1::StreamAnswer().SerializeAsString());
        return std::make_unique<Stream>(m_loop, std::exchange(m_channel, nullptr));
    }

    void refuse(const Error& why) override
    {
        v1::StreamAnswer refusal;
        refusal.set_code(static_cast<std::uint32_t>(why.code));
        refusal.set_message(why.message);
        m_channel->say(Kind::Answer, refusal.SerializeAsString());
        std::exchange(m_channel, nullptr)->drop();
    }

private:
    Loop& m_loop;
    ChannelPtr m_channel;
    v1::StreamHello m_hello;
};

Multiplexer::Multiplexer(Loop& loop, StreamPtr carrier, Asked asked, std::function<void()> ended)
    : m_loop(loop),
      m_carrier(std::move(carrier)),
      m_asked(std::move(asked)),
      m_ended(std::move(ended))
{
    read();
}

Multiplexer::~Multiplexer()
{
    m_ended = nullptr;
    end();
}

DialingPtr Multiplexer::open(const v1::StreamHello& hello, Dialer::StreamDone done)
{
    auto channel = std::make_shared<Channel>(*this, ++m_lastId);
    m_channels[channel->id] = channel;
    channel->answered = [&loop = m_loop, weak = std::weak_ptr(channel),
                         done = std::move(done)](Result<> answer) {
        auto report = done;  // Outlives the opening, which `report` may destroy.
        auto opened = weak.lock();
        if (!answer || !opened) return report(tl::unexpected(answer.error()));
        report(std::make_unique<Stream>(loop, std::move(opened)));
    };
    command(channel->id, Kind::Open, hello.SerializeAsString());
    return std::make_unique<Opening>(std::move(channel));
}

void Multiplexer::read()
{
    m_carrier->read([this](Result<ByteStream::Bytes> bytes) {
        if (!bytes || bytes->empty()) return end();
        auto alive = m_alive.watch();
        bool fine = take(textOf(*bytes));
        if (alive.expired() || !m_carrier) return;
        if (fine) return read();
        log::warn("tunnel: what comes on a multiplexed stream breaks its rules");
        end();
    });
}

// A stream's user, who is called from here, may destroy this.
bool Multiplexer::take(std::string_view bytes)
{
    auto alive = m_alive.watch();
    std::string whole = std::exchange(m_partial, {});
    if (!whole.empty()) bytes = whole.append(bytes);
    while (bytes.size() >= kHeadBytes) {
        auto id = numberAt(bytes, 0, 4);
        auto kind = static_cast<std::uint16_t>(numberAt(bytes, 4, 2));
        auto length = numberAt(bytes, 6, 2);
        if (length > kMaxFrameBytes) return false;
        if (bytes.size() < kHeadBytes + length) break;
        bool fine = takeFrame(id, kind, bytes.substr(kHeadBytes, length));
        if (alive.expired() || !fine) return fine;
        bytes.remove_prefix(kHeadBytes + length);
    }
    m_partial = bytes;
    return true;
}

bool Multiplexer::takeFrame(std::uint32_t id, std::uint16_t kind, std::string_view payload)
{
    if (static_cast<Kind>(kind) == Kind::Open) return opened(id, payload);
    auto known = m_channels.find(id);
    ChannelPtr channel = known == m_channels.end() ? nullptr : known->second;
    switch (static_cast<Kind>(kind)) {
        case Kind::Answer: {
            v1::StreamAnswer answer;
            if (!answer.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
                return false;
            if (!channel || !channel->answered) return true;
            auto done = std::exchange(channel->answered, nullptr);
            if (!answer.code()) return done({}), true;
            channel->drop();
            done(fail(static_cast<Code>(answer.code()), answer.message()));
            return true;
        }
        case Kind::Data:
            return !channel || channel->came(payload);
        case Kind::Credit:
            if (payload.size() != 4) return false;
            if (!channel) return true;
            channel->credited(numberAt(payload, 0, 4));
            if (channel->maySend()) hasBytes(channel);
            return true;
        case Kind::End:
            if (channel) channel->endCame();
            return true;
        case Kind::Reset:
            forget(id);
            if (channel) channel->broke({Code::Unavailable, "the stream was reset"});
            return true;
        case Kind::Open:
            break;
    }
    return false;
}

bool Multiplexer::opened(std::uint32_t id, std::string_view payload)
{
    v1::StreamHello hello;
    if (!m_asked || m_channels.contains(id) || m_channels.size() >= kMaxStreams ||
        !hello.ParseFromArray(payload.data(), static_cast<int>(payload.size())))
        return false;
    auto channel = std::make_shared<Channel>(*this, id);
    m_channels[id] = channel;
    m_asked(std::make_unique<Caller>(m_loop, std::move(channel), std::move(hello)));
    return true;
}

void Multiplexer::command(std::uint32_t id, Kind kind, std::string_view payload)
{
    appendFrame(m_commands, id, static_cast<std::uint16_t>(kind), payload);
    sendSoon();
}

void Multiplexer::hasBytes(const ChannelPtr& channel)
{
    if (!std::exchange(channel->queued, true)) m_ready.push_back(channel);
    sendSoon();
}

// Not from within the call: what is said in this turn of the loop goes together.
void Multiplexer::sendSoon()
{
    if (!m_sending.empty() || std::exchange(m_willSend, true)) return;
    m_loop.post(m_alive.wrap([this] {
        m_willSend = false;
        send();
    }));
}

void Multiplexer::send()
{
    if (!m_carrier || !m_sending.empty()) return;
    std::vector<ChannelPtr> written;
    fill(written);
    if (m_sending.empty()) return;
    m_carrier->write(bytesOf(m_sending), [this](const Result<>& sent) {
        m_sending.clear();
        if (sent) send();  // Else reading tells of the end.
    });
    for (const ChannelPtr& channel : written) channel->written();
}

// A frame of each that has bytes and credit, in turn; those that are done are told so.
void Multiplexer::fill(std::vector<ChannelPtr>& written)
{
    m_sending.swap(m_commands);
    while (!m_ready.empty() && m_sending.size() < kBatchBytes) {
        auto channel = std::move(m_ready.front());
        m_ready.pop_front();
        channel->queued = false;
        if (channel->maySend()) channel->fill(m_sending);
        if (channel->maySend())
            hasBytes(channel);
        else if (channel->hasWritten())
            written.push_back(std::move(channel));
    }
}

void Multiplexer::forget(std::uint32_t id)
{
    m_channels.erase(id);
}

void Multiplexer::end()
{
    m_carrier.reset();
    m_ready.clear();
    auto alive = m_alive.watch();
    for (auto& [id, channel] : std::exchange(m_channels, {}))
        channel->broke({Code::Unavailable, "the tunnel broke"});
    if (alive.expired()) return;
    if (auto ended = std::exchange(m_ended, nullptr)) ended();
}

}  // namespace slipway
