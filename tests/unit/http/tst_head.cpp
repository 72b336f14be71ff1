// Heads: what is read, how it is framed, and what is refused.
#include <QtTest>

#include "shared/http/head.h"

using namespace slipway;
using namespace slipway::http;

class TestHead : public QObject {
    Q_OBJECT

private slots:
    void keepsOrderAndSpelling()
    {
        auto head = parseRequest(
            "POST /v1.45/x?a=b HTTP/1.1\r\nhOST: d\r\nX-B: 2\r\nx-a: 1\r\nX-B: 3\r\n\r\n");
        QVERIFY(head.has_value());
        QCOMPARE(toText(*head),
                 std::string("POST /v1.45/x?a=b HTTP/1.1\r\nhOST: d\r\nX-B: 2\r\nx-a: 1\r\n"
                             "X-B: 3\r\n\r\n"));
    }

    void takesFieldsOfAnySizeBelowTheLimit()
    {
        std::string value(300000, 'x');
        auto head =
            parseRequest("GET / HTTP/1.1\r\nHost: d\r\nX-Registry-Config: " + value + "\r\n\r\n");
        QVERIFY(head.has_value());
        QCOMPARE(head->find("x-registry-config")->size(), value.size());
    }

    void refusesWhatCouldBeReadInTwoWays_data()
    {
        QTest::addColumn<QString>("text");
        auto row = [](const char* name, const char* text) { QTest::newRow(name) << QString(text); };
        row("two lengths",
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n");
        row("one length twice",
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n");
        row("list of lengths", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 3, 3\r\n\r\n");
        row("signed length", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: +3\r\n\r\n");
        row("negative length", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: -3\r\n\r\n");
        row("hex length", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 0x3\r\n\r\n");
        row("empty length", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: \r\n\r\n");
        row("huge length",
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999\r\n\r\n");
        row("length and chunks",
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: "
            "chunked\r\n\r\n");
        row("chunks and length",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Length: "
            "3\r\n\r\n");
        row("other coding", "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: xchunked\r\n\r\n");
        row("two codings",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
        row("chunked twice",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
            "chunked\r\n\r\n");
        row("chunked, identity",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
            "identity\r\n\r\n");
        row("vertical tab",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: \x0b"
            "chunked\r\n\r\n");
        row("chunks in 1.0", "POST / HTTP/1.0\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n");
        row("blank before colon",
            "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding : chunked\r\n\r\n");
        row("bare line feed", "GET / HTTP/1.1\nHost: d\n\n");
        row("bare line feed in a field", "GET / HTTP/1.1\r\nHost: d\nX: y\r\n\r\n");
        row("no host", "GET / HTTP/1.1\r\n\r\n");
        row("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        row("no version", "GET /\r\nHost: d\r\n\r\n");
        row("version 2", "GET / HTTP/2.0\r\nHost: d\r\n\r\n");
        row("blank in the target", "GET /a b HTTP/1.1\r\nHost: d\r\n\r\n");
        row("not HTTP", "\x16\x03\x01\r\n\r\n");
        row("folded line", "GET / HTTP/1.1\r\nHost: d\r\nX: a\r\n b\r\n\r\n");
        row("folded length", "POST / HTTP/1.1\r\nHost: d\r\nContent-Length:\r\n\t3\r\n\r\n");
        row("folded first field", "GET / HTTP/1.1\r\n X: a\r\nHost: d\r\n\r\n");
        row("empty coding", "POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding:\r\n\r\n");
        row("bare carriage return", "GET / HTTP/1.1\r\nHost: d\r\nX: a\rY: b\r\n\r\n");
        row("control character", "GET / HTTP/1.1\r\nHost: d\r\nX: a\x01\r\n\r\n");
        row("delete in the target", "GET /\x7f HTTP/1.1\r\nHost: d\r\n\r\n");
        row("field without colon", "GET / HTTP/1.1\r\nHost: d\r\nnonsense\r\n\r\n");
        row("no field name", "GET / HTTP/1.1\r\nHost: d\r\n: x\r\n\r\n");
    }
    void refusesWhatCouldBeReadInTwoWays()
    {
        QFETCH(QString, text);
        auto head = parseRequest(text.toStdString());
        QVERIFY(!head.has_value());
        QCOMPARE(head.error().code, Code::InvalidArgument);
    }

    void findsTheEndOfAHead_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<int>("length");
        QTest::newRow("whole") << "GET / HTTP/1.1\r\n\r\nrest" << 18;
        QTest::newRow("half") << "GET / HTTP/1.1\r\n\r" << 0;
        QTest::newRow("bare line feeds") << "GET / HTTP/1.1\n\nrest" << 16;
        QTest::newRow("nothing") << "" << 0;
    }
    void findsTheEndOfAHead()
    {
        QFETCH(QString, text);
        QFETCH(int, length);
        std::string whole = text.toStdString();
        QCOMPARE(headLength(whole), static_cast<std::size_t>(length));
        for (std::size_t from = 0; from < static_cast<std::size_t>(length); ++from)
            QCOMPARE(headLength(whole, from), static_cast<std::size_t>(length));
    }

    void framesAnswers_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("method");
        QTest::addColumn<int>("kind");
        auto row = [](const char* name, const char* text, const char* method, Framing::Kind kind) {
            QTest::newRow(name) << QString(text) << QString(method) << static_cast<int>(kind);
        };
        row("length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", Framing::Kind::Length);
        row("chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET",
            Framing::Kind::Chunked);
        row("until close", "HTTP/1.1 200 OK\r\n\r\n", "GET", Framing::Kind::UntilClose);
        row("head", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", Framing::Kind::None);
        row("204", "HTTP/1.1 204 No Content\r\n\r\n", "POST", Framing::Kind::None);
        row("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "POST",
            Framing::Kind::None);
        row("100", "HTTP/1.1 100 Continue\r\n\r\n", "POST", Framing::Kind::None);
        row("no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "GET", Framing::Kind::None);
    }
    void framesAnswers()
    {
        QFETCH(QString, text);
        QFETCH(QString, method);
        QFETCH(int, kind);
        auto head = parseResponse(text.toStdString());
        QVERIFY2(head.has_value(), head ? "" : head.error().message.c_str());
        QCOMPARE(static_cast<int>(framingOf(*head, method.toStdString()).kind), kind);
    }

    void knowsWhenAConnectionStaysOpen()
    {
        auto keeps = [](std::string text) {
            auto head = parseRequest("GET / " + text + "\r\n\r\n");
            return head && head->keepsAlive();
        };
        QVERIFY(keeps("HTTP/1.1\r\nHost: d"));
        QVERIFY(!keeps("HTTP/1.1\r\nHost: d\r\nConnection: Close"));
        QVERIFY(!keeps("HTTP/1.1\r\nHost: d\r\nConnection: x , close"));
        QVERIFY(!keeps("HTTP/1.0"));
        QVERIFY(keeps("HTTP/1.0\r\nConnection: keep-alive"));
    }

    void readsTargets()
    {
        QCOMPARE(pathOf("/a/b?c=d"), std::string("/a/b"));
        QCOMPARE(pathOf("/cre%61te#x"), std::string("/create"));
        QCOMPARE(pathOf("http://docker/v1.45/x?y"), std::string("/v1.45/x"));
        QCOMPARE(pathOf("/x?u=http://y/z"), std::string("/x"));
        QCOMPARE(queryValue("/x?name=a%2Fb+c&y", "name"), std::optional<std::string>("a/b c"));
        QVERIFY(!queryValue("/x?name=a", "nam"));
    }
};

QTEST_APPLESS_MAIN(TestHead)
#include "tst_head.moc"
