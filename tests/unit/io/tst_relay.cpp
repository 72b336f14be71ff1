// The relay over real sockets: bytes, half-close, errors, back-pressure.
#include <array>
#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

#include <QtTest>

#include "shared/io/relay.h"
#include "shared/io/uv_stream.h"
#include "tests/support/run_until.h"

using namespace slipway;
using slipway::test::runUntil;

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
