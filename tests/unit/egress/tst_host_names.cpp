// What the host resolves: its hosts file, and name servers that answer, lie, or keep silent.
#include <fstream>
#include <list>
#include <map>
#include <set>

#include <QtTest>
#include <fmt/format.h>

#include "shared/io/datagrams.h"
#include "tests/support/dns_query.h"
#include "tests/support/run_until.h"
#include "wsl-bridge/egress/host_names.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr unsigned kA = 1, kPtr = 12, kMx = 15, kTxt = 16, kAaaa = 28, kSrv = 33;

// A name server on loopback, by UDP and TCP. It answers what it was told to, with the question's
// own number.
class NameServer {
public:
    explicit NameServer(Loop& loop, const std::string& address = "127.0.0.1",
                        std::uint16_t port = 0)
    {
        auto arrived = [this](StreamPtr client, bool udp) {
            auto place = m_clients.emplace(m_clients.end());
            *place = std::make_unique<FramedStream>(
                std::move(client),
                FramedStream::Events{
                    .came = [this, place,
                             udp](std::string_view query) { came(**place, query, udp); },
                    .ended = [this, place] { m_clients.erase(place); }});
        };
        m_tcp = *listenTcp(loop, address, port,
                           [arrived](StreamPtr client) { arrived(std::move(client), false); });
        m_udp = *listenUdp(loop, address, m_tcp->port(),
                           [arrived](StreamPtr client) { arrived(std::move(client), true); });
    }

    std::uint16_t port() const { return m_tcp->port(); }

    std::map<std::pair<std::string, unsigned>, std::string> records;  // Data, by name and type.
    bool cutsUdpShort = false;
    bool silent = false;
    std::vector<unsigned> numbers;  // Of the queries that came.
    int byTcp = 0;

private:
    void came(FramedStream& client, std::string_view query, bool udp)
    {
        numbers.push_back(idOf(std::string(query)));
        byTcp += !udp;
        if (silent) return;
        auto question = *dns::questionOf(query);
        auto known = records.find({question.name, question.type});
        std::string answer =
            known == records.end()
                ? dns::failureOf(query, dns::Rcode::NxDomain)
                : dns::answerTo(query, question,
                                {{static_cast<dns::Type>(question.type), 77, known->second}});
        client.send(udp && cutsUdpShort ? dns::truncated(answer) : answer);
    }

    ListenerPtr m_udp, m_tcp;
    std::list<std::unique_ptr<FramedStream>> m_clients;
};

}  // namespace

class TestHostNames : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    Loop m_loop;
    std::unique_ptr<NameServer> m_server;
    std::unique_ptr<HostNames> m_names;

    std::filesystem::path file(const char* name) const
    {
        return std::filesystem::path(m_dir.path().toStdString()) / name;
    }
    void write(const char* name, const std::string& text) const
    {
        std::ofstream(file(name)) << text;
    }
    std::string ask(const std::string& query, std::chrono::seconds limit = std::chrono::seconds(8))
    {
        std::string answer;
        m_names->resolve(query, [&answer](std::string text) { answer = std::move(text); });
        if (!runUntil(
                m_loop, [&answer] { return !answer.empty(); }, limit))
            return "";
        return answer;
    }
    std::string dataOf(const std::string& name, unsigned type)
    {
        auto answer = ask(queryFor(name, type, 0x4711));
        if (answer.empty() || idOf(answer) != 0x4711 || answersOf(answer) != 1) return "none";
        return answer.substr(queryFor(name, type).size() + 12);
    }

private slots:
    void init()
    {
        m_server = std::make_unique<NameServer>(m_loop);
        write("resolv.conf", "nameserver 127.0.0.1\n");
        write("hosts",
              "# ours\n127.0.0.1 localhost app.test\n::1 localhost app.test\n"
              "10.9.8.7 db.test Database # a comment\n2001:db8::7 db.test\n127.0.1.1 this-host\n");
        m_names = std::make_unique<HostNames>(
            m_loop, HostNames::Options{"10.213.7.253", file("hosts"), file("resolv.conf"),
                                       m_server->port()});
    }
    void cleanup()
    {
        m_names.reset();
        m_server.reset();
    }

    void asksTheHostsServerForEveryKindOfRecord()
    {
        for (unsigned type : {kA, kAaaa, kMx, kTxt, kSrv, 65u, 257u}) {
            m_server->records[{"a.example", type}] = fmt::format("data {}", type);
            QCOMPARE(dataOf("a.example", type), fmt::format("data {}", type));
        }
        QCOMPARE(m_names->firstServer(), std::string("127.0.0.1"));
    }

    void tellsThatANameIsNotThere() { QCOMPARE(rcodeOf(ask(queryFor("no.example", kA))), 3u); }

    void nobodyCanGuessTheNumberOfAQuestion()
    {
        for (int i = 0; i < 8; ++i) ask(queryFor("a.example", kA, 5));
        std::set<unsigned> numbers(m_server->numbers.begin(), m_server->numbers.end());
        QVERIFY(numbers.size() >= 7);
    }

    void asksAgainByTcpForWhatIsTooLong()
    {
        m_server->cutsUdpShort = true;
        m_server->records[{"long.example", kTxt}] = std::string(3000, 'x');
        QCOMPARE(dataOf("long.example", kTxt).size(), std::size_t{3000});
        QVERIFY(m_server->byTcp > 0);
    }

    void theHostsFileComesFirst()
    {
        m_server->records[{"db.test", kA}] = "wrong";
        QCOMPARE(dataOf("db.test", kA), dns::addressData("10.9.8.7"));
        QCOMPARE(dataOf("database", kA), dns::addressData("10.9.8.7"));
        QCOMPARE(dataOf("db.test", kAaaa), dns::addressData("2001:db8::7"));
        QCOMPARE(answersOf(ask(queryFor("database", kAaaa))), 0u);
        QCOMPARE(rcodeOf(ask(queryFor("database", kAaaa))), 0u);
        QCOMPARE(dataOf("7.8.9.10.in-addr.arpa", kPtr), labelsOf("db.test"));
        QVERIFY(m_server->numbers.empty());
    }

    // What the host calls its own loopback is host.docker.internal to a container.
    void theHostsLoopbackIsTheHost()
    {
        QCOMPARE(dataOf("app.test", kA), dns::addressData("10.213.7.253"));
        QCOMPARE(answersOf(ask(queryFor("app.test", kAaaa))), 0u);
        QCOMPARE(dataOf("this-host", kA), dns::addressData("10.213.7.253"));
        QCOMPARE(dataOf("localhost", kA), dns::addressData("127.0.0.1"));
        QCOMPARE(dataOf("x.localhost", kAaaa), dns::addressData("::1"));
    }

    void changesAreSeenAtOnce()
    {
        QCOMPARE(rcodeOf(ask(queryFor("late.test", kA))), 3u);
        write("hosts", "10.1.1.1 late.test\n");
        QCOMPARE(dataOf("late.test", kA), dns::addressData("10.1.1.1"));

        NameServer vpn(m_loop, "127.0.0.2", m_server->port());
        vpn.records[{"inside.corp", kA}] = "vpn!";
        QCOMPARE(rcodeOf(ask(queryFor("inside.corp", kA))), 3u);
        write("resolv.conf", "# by a VPN\nnameserver 127.0.0.2\n");
        std::filesystem::last_write_time(
            file("resolv.conf"),
            std::filesystem::file_time_type::clock::now() + std::chrono::seconds(2));
        QCOMPARE(dataOf("inside.corp", kA), std::string("vpn!"));
    }

    // Nobody listens there: the kernel says so at once.
    void withoutANetworkItFailsAtOnce()
    {
        m_server.reset();
        QElapsedTimer timer;
        timer.start();
        QCOMPARE(rcodeOf(ask(queryFor("a.example", kA))), 2u);
        QVERIFY(timer.elapsed() < 500);
    }

    void theNextServerIsAskedWhereOneIsSilent()
    {
        NameServer second(m_loop, "127.0.0.3", m_server->port());
        second.records[{"a.example", kA}] = "2222";
        m_server->silent = true;
        write("resolv.conf", "nameserver 127.0.0.1\nnameserver 127.0.0.3\n");
        std::filesystem::last_write_time(
            file("resolv.conf"),
            std::filesystem::file_time_type::clock::now() + std::chrono::seconds(2));
        QCOMPARE(dataOf("a.example", kA), std::string("2222"));
    }

    void aSilentServerIsGivenUp()
    {
        m_server->silent = true;
        QCOMPARE(rcodeOf(ask(queryFor("a.example", kA), std::chrono::seconds(15))), 2u);
    }

    void whatIsNoQueryIsSaidToBeNone()
    {
        std::string update = queryFor("a.example", kA);
        update[2] = 0x28;
        QCOMPARE(rcodeOf(ask(update)), 4u);
        m_names->resolve("short", [](const std::string&) { QFAIL("answered"); });
        runUntil(
            m_loop, [] { return false; }, std::chrono::milliseconds(20));
    }

    // One that is destroyed while it waits.
    void endsWithQuestionsUnanswered()
    {
        m_server->silent = true;
        m_names->resolve(queryFor("a.example", kA), [](const std::string&) { QFAIL("answered"); });
        QVERIFY(runUntil(m_loop, [this] { return !m_server->numbers.empty(); }));
        m_names.reset();
        runUntil(
            m_loop, [] { return false; }, std::chrono::milliseconds(50));
    }
};

QTEST_GUILESS_MAIN(TestHostNames)
#include "tst_host_names.moc"
