// Nothing reaches the engine that a strict reading of the client's bytes does not hold: tries known
// by name, then some seconds of mutations of them. tests/fuzz does the same for as long as one
// likes.
#include <random>

#include <QtTest>

#include "tests/fuzz/smuggling.h"

using namespace slipway::test;

namespace {

constexpr const char* kTries[] = {
    "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /info HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: "
    "d\r\n\r\n",
    "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: "
    "u\r\n\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 44\r\nTransfer-Encoding: "
    "chunked\r\n\r\n0\r\n\r\nGET "
    "/x HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
    "identity\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nX: y\r\n Content-Length: 30\r\n\r\nGET /x HTTP/1.1\r\nHost: "
    "d\r\n\r\n",
    "POST / HTTP/1.1\nHost: d\nContent-Length: 5\n\nabcde",
    "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\nGET /x "
    "HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 30, 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: "
    "2\r\n\r\n{}GET /x HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /services/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: "
    "chunked\r\n\r\n2\r\n{}\r\n0\r\nT: "
    "u\r\n\r\nGET /x HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 90\r\n\r\n{}",
    "HEAD /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\nGET /x HTTP/1.1\r\nHost: "
    "d\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n",
    "GET /\x00x HTTP/1.1\r\nHost: d\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: d\r\nHost: e\r\n\r\n",
};
constexpr const char* kWords[] = {"\r\n",
                                  "\n",
                                  "\r",
                                  "\r\n\r\n",
                                  " ",
                                  "\t",
                                  ":",
                                  ",",
                                  ";",
                                  "\x0b",
                                  "0\r\n\r\n",
                                  "Content-Length: 3\r\n",
                                  "Transfer-Encoding: chunked\r\n",
                                  "transfer-encoding:\tchunked \r\n",
                                  "chunked",
                                  "identity",
                                  "Host: d\r\n",
                                  "HTTP/1.0",
                                  "HTTP/1.1",
                                  "GET /x HTTP/1.1\r\nHost: d\r\n\r\n",
                                  "Expect: 100-continue\r\n",
                                  "Upgrade: tcp\r\nConnection: Upgrade\r\n",
                                  "0",
                                  "3",
                                  "ffffffffffffffff",
                                  "-1",
                                  "{}",
                                  "\"",
                                  "\xff"};

std::string mutated(std::string text, std::mt19937& random)
{
    auto below = [&](std::size_t n) { return n ? random() % n : 0; };
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
        std::size_t at = below(text.size() + 1);
        std::size_t length = below(std::min<std::size_t>(text.size() - at, 12) + 1);
        switch (random() % 5) {
            case 0:
                text.erase(at, length);
                break;
            case 1:
                text.insert(at, kWords[below(std::size(kWords))]);
                break;
            case 2:
                text.insert(at, text.substr(at, length));
                break;
            case 3:
                if (at < text.size()) text[at] = static_cast<char>(random());
                break;
            default:
                text.replace(at, length, kWords[below(std::size(kWords))]);
        }
    }
    return text;
}

}  // namespace

class TestSmuggling : public QObject {
    Q_OBJECT

private slots:
    void knownTriesFail_data()
    {
        QTest::addColumn<QByteArray>("sent");
        for (const char* one : kTries) QTest::newRow(one) << QByteArray(one);
    }
    void knownTriesFail()
    {
        QFETCH(QByteArray, sent);
        std::string wrong = smuggled(sent.toStdString());
        QVERIFY2(wrong.empty(), wrong.c_str());
    }

    void mutationsFail()
    {
        std::mt19937 random(20);  // Always the same.
        for (int round = 0; round < 3000; ++round) {
            std::string sent = mutated(kTries[random() % std::size(kTries)], random);
            std::string wrong = smuggled(sent);
            QVERIFY2(wrong.empty(), (wrong + "\nof: " + sent).c_str());
        }
    }
};

QTEST_APPLESS_MAIN(TestSmuggling)
#include "tst_smuggling.moc"
