// Bodies: where they end, in every way the bytes may be cut.
#include <QtTest>

#include "shared/http/body.h"

using namespace slipway;
using namespace slipway::http;

namespace {

constexpr Framing kChunked{Framing::Kind::Chunked};

}  // namespace

class TestBody : public QObject {
    Q_OBJECT

private slots:
    void endsChunksAtEveryCut()
    {
        std::string body =
            "5;ext=\"a b\"\r\nhello\r\n00a\r\n0123\r\n6789\r\n0\r\nX-Trailer: y\r\nZ: 1\r\n\r\n";
        std::string all = body + "GET / HTTP/1.1\r\n";
        for (std::size_t cut = 0; cut <= all.size(); ++cut) {
            BodyScanner scanner(kChunked);
            auto first = scanner.scan(std::string_view(all).substr(0, cut));
            QVERIFY(first.has_value());
            std::size_t length = *first;
            if (!scanner.done()) {
                auto second = scanner.scan(std::string_view(all).substr(cut));
                QVERIFY(second.has_value());
                length += *second;
            }
            QVERIFY(scanner.done());
            QCOMPARE(length, body.size());
        }
        QCOMPARE(withoutChunks(body), std::string("hello0123\r\n6789"));
    }

    void endsByteByByte()
    {
        std::string body = "3\r\nabc\r\n0\r\n\r\n";
        BodyScanner scanner(kChunked);
        for (std::size_t i = 0; i < body.size(); ++i) {
            QVERIFY(!scanner.done());
            QCOMPARE(*scanner.scan(std::string_view(body).substr(i, 1)), std::size_t{1});
        }
        QVERIFY(scanner.done());
    }

    void refusesMalformedChunks_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text :
             {"\r\n", "x\r\n", "-1\r\n", "0x5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello0\r\n",
              "5\r\nhello\n", "5\r\nhello\rx", "+5\r\n", " 5\r\nhello\r\n", "fffffffffffffffff\r\n",
              "0\r\n\n", "0\r\nX: y\n\r\n", "5;a\nb\r\n", "0\r\n\rx", "5\rx"})
            QTest::newRow(text) << QString(text);
    }
    void refusesMalformedChunks()
    {
        QFETCH(QString, text);
        BodyScanner scanner(kChunked);
        auto length = scanner.scan(text.toStdString());
        QVERIFY(!length.has_value());
        QCOMPARE(length.error().code, Code::InvalidArgument);
    }

    void countsALength()
    {
        BodyScanner scanner({Framing::Kind::Length, 5});
        QCOMPARE(*scanner.scan("hel"), std::size_t{3});
        QVERIFY(!scanner.done());
        QCOMPARE(*scanner.scan("lo, next"), std::size_t{2});
        QVERIFY(scanner.done());
    }

    void takesAllUntilTheEnd()
    {
        BodyScanner scanner({Framing::Kind::UntilClose});
        QCOMPARE(*scanner.scan("anything"), std::size_t{8});
        QVERIFY(!scanner.done() && scanner.untilClose());
    }
};

QTEST_APPLESS_MAIN(TestBody)
#include "tst_body.moc"
