#include <cstring>
#include <string>
#include <vector>

#include <QTest>

#include "shared/fuse/request.h"

using namespace slipway;
using namespace slipway::fuse;

namespace {

Bytes bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

}  // namespace

class TestRequest : public QObject {
    Q_OBJECT

private slots:
    void namesAreSingleComponents_data();
    void namesAreSingleComponents();
    void takesFieldsInOrder();
    void nothingIsReadPastTheEnd();
    void theFirstErrorStays();
    void theLengthMustBeTheMessages();
};

void TestRequest::namesAreSingleComponents_data()
{
    QTest::addColumn<std::string>("text");
    QTest::addColumn<int>("error");
    auto row = [](const char* what, std::string text, int error) {
        QTest::newRow(what) << std::move(text) << error;
    };
    int invalid = static_cast<int>(Errno::Invalid);
    row("plain", std::string("name\0", 5), 0);
    row("dots within", std::string("a..b\0", 5), 0);
    row("longest", std::string(255, 'n') + '\0', 0);
    row("too long", std::string(256, 'n') + '\0', static_cast<int>(Errno::NameTooLong));
    row("empty", std::string("\0", 1), invalid);
    row("nothing", "", invalid);
    row("no end", "name", invalid);
    row("dot", std::string(".\0", 2), invalid);
    row("parent", std::string("..\0", 3), invalid);
    row("slash", std::string("a/b\0", 4), invalid);
    row("root", std::string("/\0", 2), invalid);
}

void TestRequest::namesAreSingleComponents()
{
    QFETCH(std::string, text);
    QFETCH(int, error);
    Body body(bytesOf(text));
    auto name = body.name();
    QCOMPARE(body.good(), error == 0);
    if (error == 0) {
        QCOMPARE(name, std::string_view(text).substr(0, text.size() - 1));
    } else {
        QVERIFY(name.empty());
        QCOMPARE(static_cast<int>(body.error()), error);
    }
}

void TestRequest::takesFieldsInOrder()
{
    std::string message(sizeof(Rename2In), '\0');
    Rename2In in{7, 2, 0};
    std::memcpy(message.data(), &in, sizeof in);
    message += std::string("old\0new\0", 8);
    Body body(bytesOf(message));
    QCOMPARE(body.take<Rename2In>().newdir, std::uint64_t{7});
    QCOMPARE(body.name(), "old");
    QCOMPARE(body.name(), "new");
    QVERIFY(body.good());
    QCOMPARE(body.left(), std::size_t{0});
}

void TestRequest::nothingIsReadPastTheEnd()
{
    std::string message(sizeof(WriteIn), 'x');
    for (std::size_t length = 0; length < message.size(); ++length) {
        // A buffer of its own, so that a sanitizer sees a read beyond it.
        std::vector<std::byte> exact(length);
        Body body(exact);
        body.take<WriteIn>();
        QVERIFY(!body.good());
    }
    std::vector<std::byte> exact(8);
    QVERIFY(Body(exact).data(9).empty());
    QCOMPARE(Body(exact).data(8).size(), std::size_t{8});
}

void TestRequest::theFirstErrorStays()
{
    auto text = std::string(300, 'n') + '\0';
    Body body(bytesOf(text));
    body.name();
    body.take<std::uint64_t>();
    QCOMPARE(static_cast<int>(body.error()), static_cast<int>(Errno::NameTooLong));
}

void TestRequest::theLengthMustBeTheMessages()
{
    std::vector<std::byte> message(sizeof(InHeader) + 8);
    InHeader header{};
    header.len = static_cast<std::uint32_t>(message.size());
    header.nodeid = 5;
    std::memcpy(message.data(), &header, sizeof header);
    auto request = parseRequest(message);
    QVERIFY(request);
    QCOMPARE(request->header.nodeid, std::uint64_t{5});
    QCOMPARE(request->body.size(), std::size_t{8});
    QVERIFY(!parseRequest(std::span(message).first(message.size() - 1)));
    QVERIFY(!parseRequest(std::span(message).first(sizeof header - 1)));
}

QTEST_APPLESS_MAIN(TestRequest)
#include "tst_request.moc"
