// Many streams on one: both ends on one loop, and ends that break the rules.
#include <QtTest>
#include <fmt/format.h>

#include "shared/io/connect_socket.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/multiplexer.h"
#include "tests/support/run_until.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// All that comes on a stream, until its end.
struct Reader {
    explicit Reader(StreamPtr s) : stream(std::move(s)) { next(); }
    void next()
    {
        stream->read([this](Result<ByteStream::Bytes> bytes) {
            if (!bytes) return void(broken = true);
            if (bytes->empty()) return void(ended = true);
            text += textOf(*bytes);
            next();
        });
    }
    void write(const std::string& bytes)
    {
        writing = bytes;
        stream->write(bytesOf(writing), [this](const Result<>&) { writing.clear(); });
    }

    StreamPtr stream;
    std::string text, writing;
    bool ended = false, broken = false;
};

std::string frame(std::uint32_t id, unsigned kind, const std::string& payload)
{
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(id >> (8 * i));
    for (unsigned value : {kind, static_cast<unsigned>(payload.size())})
        for (int i = 0; i < 2; ++i) bytes += static_cast<char>(value >> (8 * i));
    return bytes + payload;
}

constexpr unsigned kOpen = 1, kAnswer = 2, kData = 3, kCredit = 4;

}  // namespace

class TestMultiplexer : public QObject {
    Q_OBJECT

    Loop m_loop;
    std::unique_ptr<Multiplexer> m_bridge, m_agent;
    std::vector<std::unique_ptr<Multiplexer::Visit>> m_visits;
    bool m_bridgeEnded = false, m_agentEnded = false;

    std::pair<StreamPtr, StreamPtr> carrier()
    {
        auto pair = *makeSocketPair();
        return {*adoptSocket(m_loop, std::move(pair.one)),
                *adoptSocket(m_loop, std::move(pair.other))};
    }
    // The agent's end over this carrier.
    void answerOn(StreamPtr stream)
    {
        m_agent = std::make_unique<Multiplexer>(
            m_loop, std::move(stream),
            [this](std::unique_ptr<Multiplexer::Visit> visit) {
                m_visits.push_back(std::move(visit));
            },
            [this] { m_agentEnded = true; });
    }
    // Both ends of one more stream.
    std::pair<std::unique_ptr<Reader>, std::unique_ptr<Reader>> pair()
    {
        StreamPtr opened;
        auto opening = m_bridge->open(helloConnectTcp("10.1.2.3", 80), [&](Result<StreamPtr> s) {
            if (s) opened = *std::move(s);
        });
        if (!runUntil(m_loop, [&] { return !m_visits.empty(); })) return {};
        auto visit = std::move(m_visits.back());
        m_visits.pop_back();
        auto accepted = visit->accept();
        if (!runUntil(m_loop, [&] { return opened != nullptr; })) return {};
        return {std::make_unique<Reader>(std::move(opened)),
                std::make_unique<Reader>(std::move(accepted))};
    }
    void turn()
    {
        runUntil(
            m_loop, [] { return false; }, std::chrono::milliseconds(30));
    }

private slots:
    void init()
    {
        m_bridgeEnded = m_agentEnded = false;
        auto [a, b] = carrier();
        m_bridge = std::make_unique<Multiplexer>(m_loop, std::move(a), nullptr,
                                                 [this] { m_bridgeEnded = true; });
        answerOn(std::move(b));
    }
    void cleanup()
    {
        m_visits.clear();
        m_bridge.reset();
        m_agent.reset();
    }

    void bytesGoBothWaysAndEachEndsByItself()
    {
        auto [bridge, agent] = pair();
        bridge->write("question");
        QVERIFY(runUntil(m_loop, [&a = agent] { return a->text == "question"; }));
        bridge->stream->closeWrite();
        QVERIFY(runUntil(m_loop, [&a = agent] { return a->ended; }));
        agent->write("answer, later");
        QVERIFY(runUntil(m_loop, [&b = bridge] { return b->text == "answer, later"; }));
        QVERIFY(!bridge->ended);
        agent->stream->closeWrite();
        QVERIFY(runUntil(m_loop, [&b = bridge] { return b->ended; }));
        QCOMPARE(m_bridge->streams(), std::size_t{0});
        turn();
        QCOMPARE(m_agent->streams(), std::size_t{0});
    }

    void tellsTheServiceAndARefusal()
    {
        std::optional<Result<StreamPtr>> outcome;
        auto opening = m_bridge->open(helloConnectTcp("10.1.2.3", 80),
                                      [&](Result<StreamPtr> s) { outcome = std::move(s); });
        QVERIFY(runUntil(m_loop, [this] { return !m_visits.empty(); }));
        QCOMPARE(m_visits[0]->hello().connect().tcp().address(), std::string("10.1.2.3"));
        m_visits[0]->refuse({Code::NotFound, "nobody there"});
        QVERIFY(runUntil(m_loop, [&] { return outcome.has_value(); }));
        QVERIFY(!*outcome);
        QCOMPARE(outcome->error().message, std::string("nobody there"));
        turn();
        QCOMPARE(m_bridge->streams() + m_agent->streams(), std::size_t{0});
    }

    void oneThatIsNotAnsweredIsRefused()
    {
        bool refused = false;
        auto opening =
            m_bridge->open(helloEngine(), [&](const Result<StreamPtr>& s) { refused = !s; });
        QVERIFY(runUntil(m_loop, [this] { return !m_visits.empty(); }));
        m_visits.clear();
        QVERIFY(runUntil(m_loop, [&] { return refused; }));
    }

    void oneThatIsGivenUpIsForgotten()
    {
        auto opening =
            m_bridge->open(helloEngine(), [](const Result<StreamPtr>&) { QFAIL("told"); });
        opening.reset();
        turn();
        if (!m_visits.empty()) Reader late(m_visits[0]->accept());
        turn();
        QCOMPARE(m_bridge->streams() + m_agent->streams(), std::size_t{0});
    }

    void aDroppedStreamIsSeenAsBroken()
    {
        auto [bridge, agent] = pair();
        bridge.reset();
        QVERIFY(runUntil(m_loop, [&a = agent] { return a->broken; }));
        QVERIFY(!agent->ended);
    }

    // Who does not read holds up nobody else, and keeps a window at most.
    void aSlowReaderHoldsUpItselfAlone()
    {
        auto [bridge, agent] = pair();
        StreamPtr opened;
        auto opening =
            m_bridge->open(helloEngine(), [&](Result<StreamPtr> s) { opened = *std::move(s); });
        QVERIFY(runUntil(m_loop, [this] { return !m_visits.empty(); }));
        auto unread = m_visits.back()->accept();
        m_visits.clear();
        QVERIFY(runUntil(m_loop, [&] { return opened != nullptr; }));

        std::string much(8u << 20, 'x');
        bool written = false;
        opened->write(bytesOf(much), [&written](const Result<>&) { written = true; });
        for (int i = 0; i < 50; ++i) {
            bridge->write(std::string(100'000, 'y'));
            auto wanted = static_cast<std::size_t>(i + 1) * 100'000;
            QVERIFY(runUntil(m_loop, [&, wanted] {
                return agent->text.size() == wanted && bridge->writing.empty();
            }));
        }
        QVERIFY(!written);
        Reader reader(std::move(unread));
        QVERIFY(runUntil(m_loop, [&] { return written && reader.text.size() == much.size(); }));
        QVERIFY(reader.text == much);
    }

    void manyStreamsAtOnce()
    {
        constexpr int kStreams = 200;
        std::vector<std::pair<std::unique_ptr<Reader>, std::unique_ptr<Reader>>> all;
        for (int i = 0; i < kStreams; ++i) all.push_back(pair());
        for (int i = 0; i < kStreams; ++i) {
            all[i].first->write(std::string(70'000 + i, static_cast<char>('a' + i % 26)));
            all[i].second->write(std::to_string(i));
        }
        QVERIFY(runUntil(m_loop, [&] {
            for (int i = 0; i < kStreams; ++i)
                if (all[i].second->text.size() != 70'000u + i ||
                    all[i].first->text != std::to_string(i))
                    return false;
            return true;
        }));
        for (int i = 0; i < kStreams; ++i)
            QVERIFY(all[i].second->text.find_first_not_of(static_cast<char>('a' + i % 26)) ==
                    std::string::npos);
    }

    void withTheCarrierAllBreak()
    {
        auto [bridge, agent] = pair();
        bool refused = false;
        auto opening =
            m_bridge->open(helloEngine(), [&](const Result<StreamPtr>& s) { refused = !s; });
        m_agent.reset();
        QVERIFY(agent->broken);
        QVERIFY(runUntil(m_loop, [&b = bridge] { return b->broken; }));
        QVERIFY(refused);
        QVERIFY(m_bridgeEnded);
    }

    void whatBreaksTheRulesEndsTheCarrier_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        std::string open = frame(1, kOpen, helloEngine().SerializeAsString());
        auto row = [](const char* name, const std::string& bytes) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes);
        };
        row("an unknown kind", frame(1, 77, ""));
        row("a frame too long", frame(1, kData, std::string(40'000, 'x')));
        row("a hello that is none", frame(1, kOpen, "\xff\xff\xff"));
        row("one number twice", open + open);
        row("an answer that is none", frame(1, kAnswer, "\xff\xff\xff"));
        row("a credit that is none", frame(1, kCredit, "12"));
        std::string beyond = open;
        for (int i = 0; i < 9; ++i) beyond += frame(1, kData, std::string(32 * 1024, 'x'));
        row("more than its window", beyond);
    }
    void whatBreaksTheRulesEndsTheCarrier()
    {
        QFETCH(QByteArray, bytes);
        m_agent.reset();
        auto [ours, theirs] = carrier();
        answerOn(std::move(theirs));
        std::string text = bytes.toStdString();
        ours->write(bytesOf(text), [](const Result<>&) {});
        QVERIFY(runUntil(m_loop, [this] { return m_agentEnded; }));
    }

    void whatIsForNobodyIsIgnored()
    {
        m_agent.reset();
        auto [ours, theirs] = carrier();
        answerOn(std::move(theirs));
        std::string text = frame(9, kData, "late") + frame(9, kCredit, std::string(4, '\1')) +
                           frame(9, 5, "") + frame(9, 6, "") +
                           frame(1, kOpen, helloEngine().SerializeAsString());
        // Byte by byte: frames come in pieces.
        for (std::size_t i = 0; i < text.size(); ++i) {
            bool done = false;
            ours->write(bytesOf(std::string_view(text).substr(i, 1)),
                        [&done](const Result<>&) { done = true; });
            QVERIFY(runUntil(m_loop, [&done] { return done; }));
        }
        QVERIFY(runUntil(m_loop, [this] { return m_visits.size() == 1; }));
        QVERIFY(!m_agentEnded);
    }
};

QTEST_GUILESS_MAIN(TestMultiplexer)
#include "tst_multiplexer.moc"
