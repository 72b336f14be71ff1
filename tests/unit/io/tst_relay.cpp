// The relay over real sockets: bytes, half-close, errors, back-pressure.
#include <array>
#include <cerrno>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QtTest>

#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "tests/support/descriptors_open.h"
#include "tests/support/run_until.h"
#include "tests/support/tcp_ends.h"

using namespace slipway;
using namespace slipway::test;

namespace {

struct Pair {
    Descriptor ours;
    Descriptor theirs;
};

Pair socketPair()
{
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        std::abort();
    return {Descriptor(fds[0]), Descriptor(fds[1])};
}

std::string readAll(int fd)
{
    std::string all;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
        all.append(buffer.data(), static_cast<std::size_t>(n));
    return all;
}

constexpr std::size_t kMuch = 8u << 20;

// The far end of a connection.
struct Far {
    Far(int socket, std::string toSend) : fd(socket), text(std::move(toSend)) {}

    void write()
    {
        ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) sent += static_cast<std::size_t>(n);
    }
    // 0 at the end; an error, negative.
    ssize_t read()
    {
        std::array<char, 65536> buffer;
        ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
        return n < 0 ? -errno : n;
    }

    int fd;
    std::string text;
    std::size_t sent = 0;
    std::string got;
};

// A client and a server of TCP with two relays between, as of bridge and agent.
struct Hops {
    explicit Hops(Loop& loop)
    {
        Pair tunnel = socketPair();
        client = connectedTo(clients.port());
        server = connectedTo(servers.port());
        bridge = relay(loop, clients.accept(), std::move(tunnel.ours), bridge);
        agent = relay(loop, std::move(tunnel.theirs), servers.accept(), agent);
    }
    static std::unique_ptr<Relay> relay(Loop& loop, Descriptor left, Descriptor right,
                                        std::unique_ptr<Relay>& place)
    {
        auto made = std::make_unique<Relay>(*adoptSocket(loop, std::move(left), Gone::BrokenOff),
                                            *adoptSocket(loop, std::move(right), Gone::BrokenOff),
                                            [&place](const Result<>&) { place.reset(); });
        made->start();
        return made;
    }
    std::uint64_t bytes() const { return bridge->bytes() + agent->bytes(); }

    TcpServer clients, servers;
    Descriptor client, server;
    std::unique_ptr<Relay> bridge, agent;
};

}  // namespace

class TestRelay : public QObject {
    Q_OBJECT

private slots:
    void answersAfterInputHasEnded()
    {
        Loop loop;
        Pair left = socketPair();
        Pair right = socketPair();
        bool over = false;
        Relay relay(*adoptSocket(loop, std::move(left.ours)),
                    *adoptSocket(loop, std::move(right.ours)), [&](Result<> r) {
                        QVERIFY(r.has_value());
                        over = true;
                    });
        relay.start();
        QCOMPARE(::write(left.theirs.get(), "ask", 3), ssize_t{3});
        ::shutdown(left.theirs.get(), SHUT_WR);
        std::string asked;
        QVERIFY(runUntil(loop, [&] {
            asked += readAll(right.theirs.get());
            char byte;
            return asked == "ask" &&
                   ::recv(right.theirs.get(), &byte, 1, 0) == 0;  // The half-close.
        }));
        QVERIFY(!over);
        QCOMPARE(::write(right.theirs.get(), "answer", 6), ssize_t{6});
        right.theirs.reset();
        QVERIFY(runUntil(loop, [&] { return over; }));
        QCOMPARE(readAll(left.theirs.get()), std::string("answer"));
        QCOMPARE(relay.bytes(), std::uint64_t{9});
    }

    void holdsAFastWriterBack()
    {
        Loop loop;
        Pair left = socketPair();
        Pair right = socketPair();
        Relay relay(*adoptSocket(loop, std::move(left.ours)),
                    *adoptSocket(loop, std::move(right.ours)), [](Result<>) {});
        relay.start();
        std::string block(1 << 16, 'x');
        std::uint64_t sent = 0;
        std::uint64_t before = 1;
        // Nobody reads on the right: what can be written must come to an end, at little.
        while (sent != before) {
            before = sent;
            for (int i = 0; i < 20; ++i) {
                ssize_t n = ::write(left.theirs.get(), block.data(), block.size());
                if (n > 0) sent += static_cast<std::uint64_t>(n);
                runUntil(
                    loop, [] { return false; }, std::chrono::milliseconds(1));
            }
        }
        QVERIFY(sent > 0);
        QVERIFY(sent < (4u << 20));
        std::uint64_t received = 0;
        QVERIFY(runUntil(loop, [&] {
            received += readAll(right.theirs.get()).size();
            return received == sent;
        }));
    }

    void carriesMuchUnchangedBothWays_data()
    {
        QTest::addColumn<bool>("pipes");
        QTest::newRow("through pipes") << true;
        QTest::newRow("without any to be had") << false;
    }
    void carriesMuchUnchangedBothWays()
    {
        QFETCH(bool, pipes);
        Loop loop;
        Hops hops(loop);
        int before = descriptorsOpen();
        rlimit files{};
        getrlimit(RLIMIT_NOFILE, &files);
        rlimit few{pipes ? files.rlim_cur : rlim_t{0}, files.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);  // Of new ones.
        std::string text;
        for (int i = 0; text.size() < kMuch; ++i) text += std::to_string(i) + ' ';
        Far client(hops.client.get(), text), server(hops.server.get(), text);
        // The server first only writes, then only reads: a slow one.
        QVERIFY(runUntil(
            loop,
            [&] {
                client.read();
                client.write();
                server.write();
                return client.got.size() == text.size();
            },
            std::chrono::seconds(30)));
        QVERIFY(runUntil(
            loop,
            [&] {
                client.write();
                server.read();
                return server.got.size() == text.size();
            },
            std::chrono::seconds(30)));
        setrlimit(RLIMIT_NOFILE, &files);
        QVERIFY(client.got == text);
        QVERIFY(server.got == text);
        QCOMPARE(hops.bytes(), std::uint64_t{4} * text.size());
        // Those that are kept for the next who has much.
        QVERIFY(pipes ? descriptorsOpen() > before : descriptorsOpen() == before);
        QVERIFY(descriptorsOpen() <= before + 8);
    }

    void aHalfCloseIsPassedOnWithAllThatWasSent()
    {
        Loop loop;
        Hops hops(loop);
        std::string text(kMuch, 'x');
        Far client(hops.client.get(), text), server(hops.server.get(), "answer");
        QVERIFY(runUntil(
            loop,
            [&] {
                client.write();
                server.read();
                return client.sent == text.size();
            },
            std::chrono::seconds(30)));
        ::shutdown(hops.client.get(), SHUT_WR);
        QVERIFY(runUntil(
            loop, [&] { return server.read() == 0; }, std::chrono::seconds(30)));
        QCOMPARE(server.got.size(), text.size());
        server.write();
        hops.server.reset();
        QVERIFY(runUntil(loop, [&] { return client.read() == 0; }));
        QCOMPARE(client.got, std::string("answer"));
    }

    void passesAResetOn_data()
    {
        QTest::addColumn<bool>("fromClient");
        QTest::newRow("the client's") << true;
        QTest::newRow("the server's") << false;
    }
    void passesAResetOn()
    {
        QFETCH(bool, fromClient);
        Loop loop;
        Hops hops(loop);
        Descriptor& broken = fromClient ? hops.client : hops.server;
        Far other(fromClient ? hops.server.get() : hops.client.get(), "");
        QCOMPARE(::write(broken.get(), "x", 1), ssize_t{1});
        QVERIFY(runUntil(loop, [&] {
            other.read();
            return other.got == "x";
        }));
        resetOnClose(broken);
        broken.reset();
        ssize_t end = -EAGAIN;
        QVERIFY(runUntil(loop, [&] { return (end = other.read()) != -EAGAIN; }));
        QCOMPARE(end, ssize_t{-ECONNRESET});
    }

    void endsWithTheFirstError()
    {
        Loop loop;
        Pair left = socketPair();
        Pair right = socketPair();
        bool failed = false;
        Relay relay(*adoptSocket(loop, std::move(left.ours)),
                    *adoptSocket(loop, std::move(right.ours)),
                    [&](Result<> r) { failed = !r.has_value(); });
        relay.start();
        right.theirs.reset();  // Reads end, writes fail with EPIPE.
        runUntil(
            loop, [] { return false; }, std::chrono::milliseconds(20));
        QCOMPARE(::write(left.theirs.get(), "x", 1), ssize_t{1});
        QVERIFY(runUntil(loop, [&] { return failed; }));
        char byte;
        QCOMPARE(::recv(left.theirs.get(), &byte, 1, 0), ssize_t{0});
    }
};

QTEST_GUILESS_MAIN(TestRelay)
#include "tst_relay.moc"
