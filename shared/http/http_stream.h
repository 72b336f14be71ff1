// A connection that HTTP is read from: bytes can be put back, heads and bodies taken off it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "shared/http/body.h"
#include "shared/http/line_editor.h"
#include "shared/io/byte_stream.h"
#include "shared/io/loop.h"

namespace slipway::http {

// A stream whose last bytes can be given back, and that can be watched for its end while nobody
// reads. Holds no more than the one buffer of the stream below.
class HttpStream final : public ByteStream {
public:
    HttpStream(Loop& loop, StreamPtr below);

    void read(ReadDone done) override;
    void write(Bytes data, WriteDone done) override;
    std::size_t writeNow(Bytes data) override { return m_below->writeNow(data); }
    void closeWrite() override;

    // The next read() gives these; a tail of what the last one gave.
    void unread(Bytes tail);
    // What is there already, if anything; valid as what a read() gave.
    Bytes takeKept() { return std::exchange(m_kept, {}); }
    // Nobody wants the outcome of the read or watch under way any more; its bytes are kept for the
    // next.
    void forget()
    {
        m_wanted = nullptr;
        m_ended = nullptr;
    }
    // Nothing is waiting to be read, as far as is known.
    bool quiet() const { return m_kept.empty() && !m_atEnd; }
    // Calls `ended` once if the peer ends or breaks the connection before it sends more bytes: what
    // came is kept, and the next read() gives it. Until that read(), or forget().
    void watch(std::function<void(Result<>)> ended);

private:
    void readBelow();
    void arrived(Result<Bytes> data);
    void deliverLater();

    Loop& m_loop;
    StreamPtr m_below;
    Alive m_alive;
    ReadDone m_wanted;
    std::function<void(Result<>)> m_ended;
    Bytes m_kept;
    Result<> m_failure;
    bool m_reading = false;  // Of the stream below.
    bool m_atEnd = false;    // Of the stream below: kept for every later read.
};

// Reads one head. ResourceExhausted if it is longer than kMaxHeadBytes. Destroying it gives up.
class HeadReader {
public:
    // An empty text is an orderly end before the first byte.
    using Done = std::function<void(Result<std::string>)>;

    // `begun` may be empty: called once, if a head came only in part.
    HeadReader(HttpStream& from, Done done, std::function<void()> begun = nullptr);
    ~HeadReader();

private:
    void more();
    void arrived(ByteStream::Bytes bytes);
    void finish(Result<std::string> head);

    HttpStream& m_from;
    Done m_done;
    std::function<void()> m_begun;
    std::string m_text;
};

// Moves one body, its framing included; unread, unless its lines are edited. Destroying it gives
// up; a write may then still be under way. Both streams outlive it.
class BodyPump {
public:
    using Done = std::function<void(Result<>)>;

    BodyPump(HttpStream& from, ByteStream& to, BodyScanner scanner, Done done);
    ~BodyPump();
    // Before the start. The body is one in chunks.
    void edit(LineEditor::Edit edit) { m_lines.emplace(std::move(edit)); }
    // `head` goes before it, in one write with what there is of the body already. `done` may be
    // called before this returns.
    void start(std::string head);

    bool begun() const { return m_begun; }              // Some of it may have been written.
    bool writeFailed() const { return m_writeFailed; }  // And not the read, or the framing.

private:
    void more();
    void move(ByteStream::Bytes bytes);
    void moved(Result<> written);
    void finish(Result<> result);

    HttpStream& m_from;
    ByteStream& m_to;
    BodyScanner m_scanner;
    Done m_done;
    std::optional<LineEditor> m_lines;
    std::string m_text;  // Being written: the head, or what has been edited.
    bool m_begun = false;
    bool m_writeFailed = false;
    Alive m_alive;
};

// Takes one body into memory, framing and all, up to a limit. The framing is neither None nor
// UntilClose. Destroying it gives up.
class BodyCollector {
public:
    struct Body {
        std::string raw;      // What came so far.
        BodyScanner scanner;  // done(), or the limit was reached and the rest is still to be read.
    };
    using Done = std::function<void(Result<Body>)>;

    BodyCollector(HttpStream& from, Framing framing, std::size_t limit, Done done);
    ~BodyCollector();
    void start();

private:
    void arrived(ByteStream::Bytes bytes);
    void finish(Result<Body> body);

    HttpStream& m_from;
    std::size_t m_limit;
    Body m_body;
    Done m_done;
};

}  // namespace slipway::http
