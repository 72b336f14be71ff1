// The head of a tunnel stream: who may pass, and what is said to who may not.
#include <chrono>

#include <sys/socket.h>
#include <unistd.h>

#include <QtTest>

#include "shared/io/descriptor_passing.h"
#include "shared/tunnel/dialer.h"
#include "shared/tunnel/handshake.h"
#include "tests/support/run_until.h"

using namespace slipway;
using slipway::test::runUntil;

namespace {

std::pair<Descriptor, Descriptor> socketPair()
{
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    return {Descriptor(fds[0]), Descriptor(fds[1])};
}

}  // namespace

class TestHandshake : public QObject {
    Q_OBJECT

    // Both ends on one loop; each outcome as it came.
    struct Meeting {
        Loop loop;
        std::optional<Result<Descriptor>> bridge;
        std::optional<Result<Descriptor>> agent;
        std::optional<Error> refused;
        std::string service;
        std::unique_ptr<Handshake> greeting;
        std::unique_ptr<Handshake> welcoming;

        void hold(const Token& bridgeToken, const Token& agentToken, Result<> outcome = {})
        {
            auto [a, b] = socketPair();
            welcoming = welcome(
                loop, std::move(b), agentToken,
                [this, outcome](Visitor& visitor) {
                    service = visitor.hello().ShortDebugString();
                    visitor.answer(outcome, [this](Result<Descriptor> s) { agent = std::move(s); });
                },
                [this](Error error) {
                    refused = std::move(error);
                    welcoming.reset();
                });
            greeting = greet(loop, std::move(a), bridgeToken, helloConnectTcp("172.17.0.2", 80),
                             [this](Result<Descriptor> s) {
                                 bridge = std::move(s);
                                 greeting.reset();
                             });
        }
    };

private slots:
    void carriesTheServiceAndThenRawBytes()
    {
        Token token = randomToken();
        Meeting m;
        m.hold(token, token);
        QVERIFY(runUntil(m.loop, [&] { return m.bridge && m.agent; }));
        QVERIFY(m.bridge->has_value() && m.agent->has_value());
        QVERIFY(m.service.find("172.17.0.2") != std::string::npos);
        QCOMPARE(::write((*m.bridge)->get(), "raw", 3), ssize_t{3});
        char bytes[3];
        QCOMPARE(::read((*m.agent)->get(), bytes, 3), ssize_t{3});
        QCOMPARE(std::string(bytes, 3), std::string("raw"));
    }

    void handsTheServicesOwnSocketOver()
    {
        Token token = randomToken();
        Loop loop;
        auto [a, b] = socketPair();
        auto [service, peer] = socketPair();
        std::optional<Result<Descriptor>> bridge;
        std::optional<Result<>> sent;
        auto welcoming = welcome(
            loop, std::move(b), token,
            [&](Visitor& visitor) {
                visitor.handOver(std::move(service), [&](Result<> done) { sent = done; });
            },
            [](const Error& error) { QFAIL(error.message.c_str()); });
        v1::StreamHello hello = helloEngine();
        hello.set_takes_socket(true);
        auto greeting = greet(loop, std::move(a), token, hello,
                              [&](Result<Descriptor> socket) { bridge = std::move(socket); });
        QVERIFY(runUntil(loop, [&] { return bridge && sent; }));
        QVERIFY(bridge->has_value() && sent->has_value());
        welcoming.reset();
        QCOMPARE(::write((*bridge)->get(), "raw", 3), ssize_t{3});
        char bytes[4];
        QCOMPARE(::read(peer.get(), bytes, 3), ssize_t{3});
        bridge.reset();  // Nobody else has it.
        QCOMPARE(::read(peer.get(), bytes, 3), ssize_t{0});
    }

    void takesNoDescriptorUnasked()
    {
        Loop loop;
        auto [a, b] = socketPair();
        auto [service, peer] = socketPair();
        std::optional<Error> refused;
        auto welcoming = welcome(
            loop, std::move(b), randomToken(), [](Visitor&) { QFAIL("asked"); },
            [&](Error error) { refused = std::move(error); });
        QCOMPARE(sendWithDescriptor(a.get(), std::string(4, '\0'), service.get()), ssize_t{4});
        service.reset();
        QVERIFY(runUntil(loop, [&] { return refused.has_value(); }));
        char byte;
        QCOMPARE(::read(peer.get(), &byte, 1), ssize_t{0});
    }

    void tellsTheBridgeWhyAServiceWasRefused()
    {
        Token token = randomToken();
        Meeting m;
        m.hold(token, token,
               fail(Code::Unavailable, "connect to 172.17.0.2:80: connection refused"));
        QVERIFY(runUntil(m.loop, [&] { return m.bridge && m.agent; }));
        QCOMPARE(m.bridge->error().code, Code::Unavailable);
        QCOMPARE(m.bridge->error().message,
                 std::string("connect to 172.17.0.2:80: connection refused"));
        QVERIFY(!m.agent->has_value());
    }

    void refusesAWrongToken()
    {
        Meeting m;
        m.hold(randomToken(), randomToken());
        QVERIFY(runUntil(m.loop, [&] { return m.refused && m.bridge; }));
        QCOMPARE(m.refused->code, Code::Unauthenticated);
        QVERIFY(!m.bridge->has_value());
        QCOMPARE(m.bridge->error().code, Code::Unauthenticated);
        QCOMPARE(m.bridge->error().message,
                 std::string("the machine does not accept this token, which is of another boot"));
        QVERIFY(m.service.empty());
    }

    void aSquatterIsFoundOut()
    {
        // Someone who took the address, and answers what an agent without the token can answer.
        Loop loop;
        auto [a, b] = socketPair();
        std::optional<Result<Descriptor>> outcome;
        auto greeting = greet(loop, std::move(a), randomToken(), helloEngine(),
                              [&](Result<Descriptor> s) { outcome = std::move(s); });
        auto send = [&](const google::protobuf::MessageLite& message) {
            std::string body = message.SerializeAsString();
            std::string head{char(body.size()), 0, 0, 0};
            QCOMPARE(::write(b.get(), (head + body).data(), body.size() + 4),
                     ssize_t(body.size() + 4));
        };
        v1::StreamGreeting squatted;
        squatted.set_version(kTunnelVersion);
        squatted.set_challenge(std::string(32, 'c'));
        send(squatted);
        v1::StreamAnswer answer;
        answer.set_proof(std::string(32, 'p'));
        send(answer);
        QVERIFY(runUntil(loop, [&] { return outcome.has_value(); }));
        QCOMPARE(outcome->error().code, Code::Unauthenticated);
    }

    void silenceEndsAfterASecond()
    {
        Loop loop;
        auto [a, b] = socketPair();
        std::optional<Error> refused;
        auto begun = std::chrono::steady_clock::now();
        auto welcoming = welcome(
            loop, std::move(b), randomToken(), [](Visitor&) {},
            [&](Error error) { refused = std::move(error); });
        QVERIFY(runUntil(loop, [&] { return refused.has_value(); }));
        QCOMPARE(refused->code, Code::DeadlineExceeded);
        QVERIFY(std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(1500));
    }

    void nonsenseIsRefused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::newRow("a length over the limit") << QByteArray("\xff\xff\xff\x7f", 4);
        QTest::newRow("no protobuf") << QByteArray("\x04\0\0\0\xff\xff\xff\xff", 8);
        QTest::newRow("an empty hello") << QByteArray("\0\0\0\0", 4);
        QTest::newRow("HTTP") << QByteArray("GET / HTTP/1.1\r\n\r\n");
    }
    void nonsenseIsRefused()
    {
        QFETCH(QByteArray, bytes);
        Loop loop;
        auto [a, b] = socketPair();
        std::optional<Error> refused;
        auto welcoming = welcome(
            loop, std::move(b), randomToken(), [](Visitor&) { QFAIL("asked"); },
            [&](Error error) { refused = std::move(error); });
        QCOMPARE(::write(a.get(), bytes.data(), size_t(bytes.size())), ssize_t(bytes.size()));
        QVERIFY(runUntil(
            loop, [&] { return refused.has_value(); }, std::chrono::milliseconds(900)));
    }

    void aTokenSurvivesBeingWrittenDown()
    {
        Token token = randomToken();
        QCOMPARE(*tokenFromHex(toHex(token)), token);
        QVERIFY(!tokenFromHex("abc").has_value());
        QVERIFY(!tokenFromHex(std::string(64, 'G')).has_value());
    }
};

QTEST_GUILESS_MAIN(TestHandshake)
#include "tst_handshake.moc"
