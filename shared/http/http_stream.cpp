// Theory of operation. HTTP needs three things of a connection that a plain stream lacks: the bytes
// after a head belong to the body, those after a body to the next message, and a client that leaves
// must be noticed while its answer is awaited. HttpStream gives all three on one rule: at most one
// read of the stream below is under way, and what it brings is either wanted at once or kept (never
// copied, as the stream below keeps its buffer until its next read) for the next read().
#include "shared/http/http_stream.h"

namespace slipway::http {

HttpStream::HttpStream(Loop& loop, StreamPtr below) : m_loop(loop), m_below(std::move(below)) {}

void HttpStream::read(ReadDone done)
{
    CHECK(!m_wanted);
    m_ended = nullptr;
    m_wanted = std::move(done);
    if (!m_kept.empty() || m_atEnd) return deliverLater();
    if (!m_reading) readBelow();
}

void HttpStream::write(Bytes data, WriteDone done)
{
    m_below->write(data, std::move(done));
}

void HttpStream::closeWrite()
{
    m_below->closeWrite();
}

void HttpStream::unread(Bytes tail)
{
    CHECK(m_kept.empty() && !m_reading);
    m_kept = tail;
}

void HttpStream::watch(std::function<void(Result<>)> ended)
{
    CHECK(!m_wanted);
    if (!m_kept.empty()) return;
    m_ended = std::move(ended);
    if (m_atEnd) {
        m_loop.post(m_alive.wrap([this] {
            if (auto report = std::exchange(m_ended, nullptr)) report(m_failure);
        }));
    } else if (!m_reading) {
        readBelow();
    }
}

void HttpStream::readBelow()
{
    m_reading = true;
    m_below->read([this](Result<Bytes> data) { arrived(std::move(data)); });
}

void HttpStream::arrived(Result<Bytes> data)
{
    m_reading = false;
    if (data && !data->empty()) {
        auto wanted = std::exchange(m_wanted, nullptr);
        if (!wanted) m_kept = *data;
        m_ended = nullptr;
        if (wanted) wanted(data);
        return;
    }
    m_atEnd = true;
    if (!data) m_failure = tl::unexpected(data.error());
    auto ended = std::exchange(m_ended, nullptr);
    if (auto wanted = std::exchange(m_wanted, nullptr)) return wanted(std::move(data));
    if (ended) ended(m_failure);
}

void HttpStream::deliverLater()
{
    m_loop.post(m_alive.wrap([this] {
        auto wanted = std::exchange(m_wanted, nullptr);
        if (!wanted) return;
        if (!m_kept.empty()) return wanted(std::exchange(m_kept, {}));
        if (!m_failure) return wanted(tl::unexpected(m_failure.error()));
        wanted(Bytes{});
    }));
}

HeadReader::HeadReader(HttpStream& from, Done done, std::function<void()> begun)
    : m_from(from), m_done(std::move(done)), m_begun(std::move(begun))
{
    more();
}

HeadReader::~HeadReader()
{
    if (m_done) m_from.forget();
}

void HeadReader::more()
{
    m_from.read([this](Result<ByteStream::Bytes> data) {
        if (!data) return finish(tl::unexpected(data.error()));
        if (!data->empty()) return arrived(*data);
        if (m_text.empty()) return finish(std::string());
        finish(fail(Code::Unavailable, "the connection ended within a message's head"));
    });
}

void HeadReader::arrived(ByteStream::Bytes bytes)
{
    std::size_t before = m_text.size();
    m_text += textOf(bytes);
    std::size_t length = headLength(m_text, before);
    if (length > kMaxHeadBytes || (length == 0 && m_text.size() > kMaxHeadBytes))
        return finish(fail(Code::ResourceExhausted, "the message's head is larger than 1 MiB"));
    if (length == 0) {
        if (before == 0 && m_begun) m_begun();
        return more();
    }
    m_from.unread(bytes.subspan(length - before));
    m_text.resize(length);
    finish(std::move(m_text));
}

void HeadReader::finish(Result<std::string> head)
{
    auto done = std::exchange(m_done, nullptr);
    done(std::move(head));
}

BodyPump::BodyPump(HttpStream& from, ByteStream& to, BodyScanner scanner, Done done)
    : m_from(from), m_to(to), m_scanner(scanner), m_done(std::move(done))
{
}

BodyPump::~BodyPump()
{
    if (m_done) m_from.forget();
}

void BodyPump::start(std::string head)
{
    m_text = std::move(head);
    move(m_from.takeKept());
}

void BodyPump::more()
{
    m_from.read([this](Result<ByteStream::Bytes> data) {
        if (!data) return finish(tl::unexpected(data.error()));
        if (!data->empty()) return move(*data);
        if (m_scanner.untilClose()) return finish({});
        finish(fail(Code::Unavailable, "the connection ended within a message's body"));
    });
}

void BodyPump::move(ByteStream::Bytes bytes)
{
    std::string content;
    auto length = m_scanner.scan(textOf(bytes), m_lines ? &content : nullptr);
    if (!length) return finish(tl::unexpected(length.error()));
    if (*length < bytes.size()) m_from.unread(bytes.subspan(*length));
    auto part = bytes.first(*length);
    if (m_lines) {
        m_text += m_lines->take(content, m_scanner.done());
        part = bytesOf(m_text);
    } else if (!m_text.empty()) {
        m_text += textOf(part);
        part = bytesOf(m_text);
    }
    m_begun = true;
    writeOrWait(m_to, part, m_alive.wrap([this](Result<> written) { moved(std::move(written)); }));
}

void BodyPump::moved(Result<> written)
{
    m_text = {};
    m_writeFailed = !written;
    if (!written || m_scanner.done()) return finish(std::move(written));
    more();
}

void BodyPump::finish(Result<> result)
{
    auto done = std::exchange(m_done, nullptr);
    done(std::move(result));
}

BodyCollector::BodyCollector(HttpStream& from, Framing framing, std::size_t limit, Done done)
    : m_from(from), m_limit(limit), m_body{{}, BodyScanner(framing)}, m_done(std::move(done))
{
}

BodyCollector::~BodyCollector()
{
    if (m_done) m_from.forget();
}

void BodyCollector::start()
{
    m_from.read([this](Result<ByteStream::Bytes> data) {
        if (!data) return finish(tl::unexpected(data.error()));
        if (!data->empty()) return arrived(*data);
        finish(fail(Code::Unavailable, "the connection ended within a message's body"));
    });
}

void BodyCollector::arrived(ByteStream::Bytes bytes)
{
    auto length = m_body.scanner.scan(textOf(bytes));
    if (!length) return finish(tl::unexpected(length.error()));
    m_body.raw += textOf(bytes.first(*length));
    if (*length < bytes.size()) m_from.unread(bytes.subspan(*length));
    if (m_body.scanner.done() || m_body.raw.size() > m_limit) return finish(std::move(m_body));
    start();
}

void BodyCollector::finish(Result<Body> body)
{
    auto done = std::exchange(m_done, nullptr);
    done(std::move(body));
}

}  // namespace slipway::http
