// The machine's name server: what it knows, and what it asks of the bridge and for whom.
#include <QtTest>

#include "linux-vm-agent/dial_out/name_server.h"
#include "shared/io/connect_socket.h"
#include "shared/io/datagrams.h"
#include "shared/net/dns.h"
#include "tests/support/dns_query.h"
#include "tests/support/run_until.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr const char* kAddress = "127.0.0.1";
constexpr unsigned kA = 1, kPtr = 12, kTxt = 16, kAaaa = 28;

// A container's resolver.
struct Client {
    explicit Client(StreamPtr stream)
        : framed(std::move(stream),
                 {.came = [this](std::string_view answer) { answers.emplace_back(answer); },
                  .ended = [this] { ended = true; }})
    {
    }
    std::vector<std::string> answers;
    bool ended = false;
    FramedStream framed;
};

}  // namespace

class TestNameServer : public QObject {
    Q_OBJECT

    std::unique_ptr<Loop> m_loop;
    std::unique_ptr<ParkedStreams> m_parked;
    std::unique_ptr<NameServer> m_server;
    std::uint16_t m_port = 0;

    // The bridge's end: a parked stream, then the stream of questions.
    std::unique_ptr<HeadSocket> m_waiting;
    std::unique_ptr<Client> m_bridge;

    void park()
    {
        auto pair = *makeSocketPair();
        m_waiting = std::make_unique<HeadSocket>(*m_loop, std::move(pair.one));
        m_waiting->receive(4096, [this](Result<std::string> bytes) {
            v1::DialOut asked;
            if (!bytes || !asked.ParseFromString(*bytes) || !asked.has_names()) return;
            m_waiting->send(v1::DialOutAnswer(), [this](const Result<>&) {
                m_bridge = std::make_unique<Client>(*adoptSocket(*m_loop, m_waiting->release()));
            });
        });
        m_parked->park(std::move(pair.other), true);
    }
    std::unique_ptr<Client> client(bool udp)
    {
        StreamPtr stream;
        auto connecting = (udp ? connectUdp : connectTcp)(
            *m_loop, kAddress, m_port, [&](Result<StreamPtr> s) { stream = *std::move(s); });
        if (!runUntil(*m_loop, [&] { return stream != nullptr; })) return nullptr;
        return std::make_unique<Client>(std::move(stream));
    }
    bool answered(const Client& client, std::size_t count = 1)
    {
        return runUntil(*m_loop, [&] { return client.answers.size() >= count; });
    }
    bool asksBridge(std::size_t count = 1)
    {
        return runUntil(*m_loop, [&] { return m_bridge && m_bridge->answers.size() >= count; });
    }
    static std::string answerFor(const std::string& query, const std::string& data)
    {
        return dns::answerTo(query, *dns::questionOf(query),
                             {{static_cast<dns::Type>(kTxt), 1, data}});
    }

private slots:
    void init()
    {
        m_loop = std::make_unique<Loop>();
        m_parked = std::make_unique<ParkedStreams>(*m_loop);
        m_port = (*listenTcp(*m_loop, kAddress, 0, [](StreamPtr) {}))->port();
        runUntil(
            *m_loop, [] { return false; }, std::chrono::milliseconds(5));
        m_server = *NameServer::listen(*m_loop, *m_parked, kAddress, m_port);
    }
    void cleanup()
    {
        m_bridge.reset();
        m_waiting.reset();
        m_server.reset();
        m_parked.reset();
        m_loop.reset();
    }

    void knowsTheHostByItself()
    {
        auto asker = client(true);
        asker->framed.send(queryFor("HOST.docker.internal", kA, 7));
        asker->framed.send(queryFor("gateway.docker.internal", kAaaa, 8));
        asker->framed.send(queryFor("1.0.0.127.in-addr.arpa", kPtr, 9));
        QVERIFY(answered(*asker, 3));
        QCOMPARE(idOf(asker->answers[0]), 7u);
        QVERIFY(asker->answers[0].ends_with(dns::addressData(kAddress)));
        QCOMPARE(answersOf(asker->answers[1]), 0u);
        QCOMPARE(rcodeOf(asker->answers[1]), 0u);
        QVERIFY(asker->answers[2].ends_with(labelsOf("host.docker.internal")));
    }

    // Both have chosen the same number, and the answers come the other way round.
    void eachGetsItsOwnAnswer()
    {
        park();
        auto one = client(true), other = client(false);
        one->framed.send(queryFor("one.test", kTxt, 5));
        QVERIFY(asksBridge(1));
        other->framed.send(queryFor("other.test", kTxt, 5));
        QVERIFY(asksBridge(2));
        auto asked = m_bridge->answers;
        QVERIFY(idOf(asked[0]) != idOf(asked[1]));
        m_bridge->framed.send(answerFor(asked[1], "for the other"));
        m_bridge->framed.send(answerFor(asked[0], "for one"));
        QVERIFY(answered(*one) && answered(*other));
        QCOMPARE(idOf(one->answers[0]), 5u);
        QVERIFY(one->answers[0].ends_with("for one"));
        QVERIFY(other->answers[0].ends_with("for the other"));
    }

    void whatIsTooLongForUdpIsCutShort()
    {
        park();
        auto byUdp = client(true), byTcp = client(false);
        std::string data(1000, 'x');
        for (auto* asker : {byUdp.get(), byTcp.get()}) {
            asker->framed.send(queryFor("long.test", kTxt, 6));
            QVERIFY(runUntil(*m_loop, [this] { return m_bridge && !m_bridge->answers.empty(); }));
            m_bridge->framed.send(answerFor(m_bridge->answers.back(), data));
            m_bridge->answers.clear();
            QVERIFY(answered(*asker));
        }
        QVERIFY(isTruncated(byUdp->answers[0]));
        QVERIFY(!isTruncated(byTcp->answers[0]) && byTcp->answers[0].size() > 1000);
        byUdp->framed.send(queryFor("long.test", kTxt, 6, 4096));
        QVERIFY(asksBridge());
        m_bridge->framed.send(answerFor(m_bridge->answers.back(), data));
        QVERIFY(answered(*byUdp, 2));
        QVERIFY(!isTruncated(byUdp->answers[1]));
    }

    void withoutABridgeItSaysSo()
    {
        auto asker = client(true);
        asker->framed.send(queryFor("a.test", kA, 3));
        QVERIFY(answered(*asker));
        QCOMPARE(rcodeOf(asker->answers[0]), 2u);
        QCOMPARE(idOf(asker->answers[0]), 3u);
    }

    void aBridgeThatGoesIsAskedAgainWhenItIsBack()
    {
        park();
        auto asker = client(true);
        asker->framed.send(queryFor("a.test", kA, 3));
        QVERIFY(asksBridge());
        m_bridge.reset();
        QVERIFY(answered(*asker));
        QCOMPARE(rcodeOf(asker->answers[0]), 2u);
        park();
        asker->framed.send(queryFor("a.test", kA, 4));
        QVERIFY(asksBridge());
    }

    void whatIsNoMessageIsIgnored()
    {
        park();
        auto asker = client(true);
        asker->framed.send("short");
        asker->framed.send(queryFor("a.test", kA, 4));
        QVERIFY(asksBridge());
        m_bridge->framed.send("no answer");
        m_bridge->framed.send(std::string(12, '\xff'));
        QCOMPARE(m_bridge->answers.size(), std::size_t{1});
        m_bridge->framed.send(answerFor(m_bridge->answers[0], "x"));
        QVERIFY(answered(*asker));
    }
};

QTEST_GUILESS_MAIN(TestNameServer)
#include "tst_name_server.moc"
