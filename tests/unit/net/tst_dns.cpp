// DNS messages: what is read of a query, and what is made of it.
#include <QtTest>

#include "shared/net/dns.h"
#include "tests/support/dns_query.h"

using namespace slipway;
using namespace slipway::test;

class TestDns : public QObject {
    Q_OBJECT

private slots:
    void readsTheQuestion()
    {
        auto question = dns::questionOf(queryFor("Host.Docker.INTERNAL", 1));
        QVERIFY(question);
        QCOMPARE(question->name, std::string("host.docker.internal"));
        QCOMPARE(question->type, std::uint16_t{1});
        QVERIFY(question->internet);
    }

    void theRootIsAName()
    {
        auto question = dns::questionOf(queryFor("", 2));
        QVERIFY(question);
        QVERIFY(question->name.empty());
    }

    // Each beginning of a whole one, and what no query has.
    void refusesWhatIsNoQuery()
    {
        std::string query = queryFor("a.example", 28);
        for (std::size_t size = 0; size < query.size(); ++size)
            QVERIFY2(!dns::questionOf(query.substr(0, size)), std::to_string(size).c_str());
        auto changed = [&](std::size_t at, const std::string& bytes) {
            std::string other = query;
            return other.replace(at, bytes.size(), bytes);
        };
        QVERIFY(!dns::questionOf(changed(2, twoBytes(0x8000))));  // A response.
        QVERIFY(!dns::questionOf(changed(2, twoBytes(0x2800))));  // An update.
        QVERIFY(!dns::questionOf(changed(4, twoBytes(2))));       // Two questions.
        QVERIFY(!dns::questionOf(changed(12, "\xc0\x0c")));       // A pointer, to itself.
        QVERIFY(!dns::questionOf(changed(12, "\x40")));           // A label of 64 bytes.
        QVERIFY(!dns::questionOf(queryFor(std::string(60, 'a') + "." + std::string(60, 'b') + "." +
                                              std::string(60, 'c') + "." + std::string(60, 'd') +
                                              "." + std::string(60, 'e'),
                                          1)));
    }

    void knowsHowLongAnAnswerMayBe()
    {
        auto limit = [](const std::string& query) {
            return dns::udpLimitOf(query, *dns::questionOf(query));
        };
        QCOMPARE(limit(queryFor("a.example", 1)), std::size_t{512});
        QCOMPARE(limit(queryFor("a.example", 1, 7, 1232)), std::size_t{1232});
        QCOMPARE(limit(queryFor("a.example", 1, 7, 100)), std::size_t{512});
        std::string cut = queryFor("a.example", 1, 7, 1232);
        QCOMPARE(limit(cut.substr(0, cut.size() - 9)), std::size_t{512});
    }

    void answers()
    {
        std::string query = queryFor("a.example", 1, 0xbeef, 1232);
        auto question = *dns::questionOf(query);
        std::string answer = dns::answerTo(
            query, question, {{dns::Type::A, 0x00010002, dns::addressData("10.1.2.3")}});
        QCOMPARE(answer, twoBytes(0xbeef) + twoBytes(0x8180) + twoBytes(1) + twoBytes(1) +
                             twoBytes(0) + twoBytes(0) + labelsOf("a.example") + twoBytes(1) +
                             twoBytes(1) + "\xc0\x0c" + twoBytes(1) + twoBytes(1) + twoBytes(1) +
                             twoBytes(2) + twoBytes(4) + "\x0a\x01\x02\x03");
        QCOMPARE(answersOf(dns::answerTo(query, question, {})), 0u);
    }

    void failsAndCutsShort()
    {
        std::string query = queryFor("a.example", 1, 9);
        std::string failure = dns::failureOf(query, dns::Rcode::ServFail);
        QCOMPARE(rcodeOf(failure), 2u);
        QCOMPARE(idOf(failure), 9u);
        QCOMPARE(failure.substr(12), query.substr(12));
        QCOMPARE(dns::failureOf(query.substr(0, 14), dns::Rcode::NotImp).size(), dns::kHeaderBytes);

        auto question = *dns::questionOf(query);
        std::string whole =
            dns::answerTo(query, question, {{dns::Type::A, 1, dns::addressData("10.1.2.3")}});
        std::string cut = dns::truncated(whole);
        QVERIFY(isTruncated(cut));
        QCOMPARE(answersOf(cut), 0u);
        QCOMPARE(cut.substr(12), query.substr(12));
    }

    void namesOfAddresses()
    {
        QCOMPARE(*dns::addressAskedFor("4.3.2.10.in-addr.arpa"), std::string("10.2.3.4"));
        QVERIFY(!dns::addressAskedFor("300.3.2.10.in-addr.arpa"));
        QVERIFY(!dns::addressAskedFor("3.2.10.in-addr.arpa"));
        QCOMPARE(*dns::addressAskedFor("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1."
                                       "0.0.2.ip6.arpa"),
                 std::string("2001:db8::1"));
        QVERIFY(!dns::addressAskedFor("1.0.ip6.arpa"));
        QVERIFY(!dns::addressAskedFor("a.example"));
        QCOMPARE(dns::nameData("a.example"), labelsOf("a.example"));
        QCOMPARE(dns::addressData("::1"), std::string(15, '\0') + '\1');
        QVERIFY(dns::addressData("a.example").empty());
    }
};

QTEST_GUILESS_MAIN(TestDns)
#include "tst_dns.moc"
