// The contracts of ByteStream, Listener and Connecting over real sockets.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>

#include "shared/io/uv_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/tcp_ends.h"

using namespace slipway;
using namespace slipway::test;

namespace {

struct TcpPair {
    StreamPtr ours;
    Descriptor theirs;
};

TcpPair tcpPair(Loop& loop)
{
    TcpPair pair;
    auto listener =
        listenTcp(loop, "127.0.0.1", 0, [&](StreamPtr stream) { pair.ours = std::move(stream); });
    pair.theirs = connectedTo((*listener)->port());
    runUntil(loop, [&] { return pair.ours != nullptr; });
    return pair;
}

bool seesTheEnd(const Descriptor& peer)
{
    char byte;
    return ::recv(peer.get(), &byte, 1, MSG_DONTWAIT) == 0;
}

// "end", or the error, once the stream's input is over; with what came before.
std::string readToEnd(Loop& loop, ByteStream& stream)
{
    std::string text;
    bool over = false;
    std::function<void()> more = [&] {
        stream.read([&](Result<ByteStream::Bytes> data) {
            over = !data || data->empty();
            text += !data ? data.error().message : data->empty() ? "end" : textOf(*data);
            if (!over) more();
        });
    };
    more();
    runUntil(loop, [&] { return over; });
    return text;
}

const std::string kReset = "read: connection reset by peer";

}  // namespace

class TestUvStream : public QObject {
    Q_OBJECT

private slots:
    void neverCallsBackInsideTheCall()
    {
        Loop loop;
        int fds[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        Descriptor peer(fds[1]);
        StreamPtr stream = *adoptSocket(loop, Descriptor(fds[0]));
        QCOMPARE(::write(peer.get(), "hi", 2), ssize_t{2});
        bool inside = true;
        std::string text;
        bool written = false;
        stream->read([&](Result<ByteStream::Bytes> data) {
            QVERIFY(!inside);
            text = textOf(*data);
        });
        stream->write(bytesOf("ho"), [&](Result<> done) {
            QVERIFY(!inside);
            QVERIFY(done.has_value());
            written = true;
        });
        inside = false;
        QVERIFY(runUntil(loop, [&] { return written && !text.empty(); }));
        QCOMPARE(text, std::string("hi"));
    }

    void aDestroyedStreamIsSilent()
    {
        Loop loop;
        int fds[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        Descriptor peer(fds[1]);
        StreamPtr stream = *adoptSocket(loop, Descriptor(fds[0]));
        std::string big(8u << 20, 'x');
        bool called = false;
        stream->read([&](Result<ByteStream::Bytes>) { called = true; });
        stream->write(bytesOf(big), [&](Result<>) { called = true; });
        stream.reset();
        QCOMPARE(::write(peer.get(), "x", 1), ssize_t{-1});  // It is closed already.
        runUntil(
            loop, [] { return false; }, std::chrono::milliseconds(30));
        QVERIFY(!called);
    }

    void givesTheSocketTheModeAskedForAndReplacesAStaleFile()
    {
        QTemporaryDir dir;
        std::filesystem::path path = (dir.path() + "/s.sock").toStdString();
        QFile stale(QString::fromStdString(path.string()));
        QVERIFY(stale.open(QFile::WriteOnly));
        stale.close();
        Loop loop;
        StreamPtr server;
        auto listener = listenUnix(loop, path, 0600, [&](StreamPtr s) { server = std::move(s); });
        QVERIFY2(listener.has_value(), listener ? "" : listener.error().message.c_str());
        struct stat status {};
        QCOMPARE(::stat(path.c_str(), &status), 0);
        QCOMPARE(int(status.st_mode & 07777), 0600);
        StreamPtr client;
        auto connecting =
            connectUnix(loop, path, [&](Result<StreamPtr> s) { client = *std::move(s); });
        QVERIFY(runUntil(loop, [&] { return client && server; }));
        listener->reset();
        QVERIFY(runUntil(loop, [&] { return !std::filesystem::exists(path); }));
    }

    void namesTheAddressThatIsTaken()
    {
        Loop loop;
        auto first = listenTcp(loop, "127.0.0.1", 0, [](StreamPtr) {});
        QVERIFY(first.has_value());
        auto second = listenTcp(loop, "127.0.0.1", (*first)->port(), [](StreamPtr) {});
        QVERIFY(!second.has_value());
        QCOMPARE(second.error().code, Code::AlreadyExists);
        QVERIFY(second.error().message.find("bind 127.0.0.1:" + std::to_string((*first)->port())) ==
                0);
    }

    void anAbortedTcpStreamIsResetForItsPeer_data()
    {
        QTest::addColumn<bool>("closeWrite");
        QTest::addColumn<int>("expected");
        QTest::newRow("at once") << false << ECONNRESET;
        QTest::newRow("after our end") << true << EPIPE;  // As Linux says it then.
    }
    void anAbortedTcpStreamIsResetForItsPeer()
    {
        QFETCH(bool, closeWrite);
        QFETCH(int, expected);
        Loop loop;
        TcpPair pair = tcpPair(loop);
        if (closeWrite) {
            pair.ours->closeWrite();
            QVERIFY(runUntil(loop, [&] { return seesTheEnd(pair.theirs); }));
        }
        pair.ours->abort();
        pair.ours.reset();
        int error = 0;
        runUntil(loop, [&] {
            socklen_t length = sizeof error;
            ::getsockopt(pair.theirs.get(), SOL_SOCKET, SO_ERROR, &error, &length);
            return error != 0;
        });
        QCOMPARE(error, expected);
    }

    void aResetIsAnErrorAndNoEnd_data()
    {
        QTest::addColumn<bool>("reset");
        QTest::addColumn<bool>("closeWrite");
        for (bool reset : {false, true})
            for (bool closeWrite : {false, true})
                QTest::addRow("%s, %s", reset ? "reset" : "closed",
                              closeWrite ? "our direction ended" : "ours goes on")
                    << reset << closeWrite;
    }
    void aResetIsAnErrorAndNoEnd()
    {
        QFETCH(bool, reset);
        QFETCH(bool, closeWrite);
        Loop loop;
        TcpPair pair = tcpPair(loop);
        if (closeWrite) {
            pair.ours->closeWrite();
            QVERIFY(runUntil(loop, [&] { return seesTheEnd(pair.theirs); }));
        }
        QCOMPARE(::write(pair.theirs.get(), "x", 1), ssize_t{1});
        if (reset) resetOnClose(pair.theirs);
        pair.theirs.reset();
        QCOMPARE(readToEnd(loop, *pair.ours), "x" + (reset ? kReset : "end"));
    }

    void aUnixPeerThatIsGoneHasBrokenOffWhereItWouldHaveWaited_data()
    {
        QTest::addColumn<bool>("waits");
        QTest::addColumn<bool>("closeWrite");
        QTest::addColumn<bool>("halfClose");
        QTest::addColumn<bool>("brokenOff");
        QTest::newRow("closed") << true << false << false << true;
        QTest::newRow("half-closed") << true << false << true << false;
        QTest::newRow("closed after our end") << true << true << false << false;
        QTest::newRow("closed, as programs end") << false << false << false << false;
    }
    void aUnixPeerThatIsGoneHasBrokenOffWhereItWouldHaveWaited()
    {
        QFETCH(bool, waits);
        QFETCH(bool, closeWrite);
        QFETCH(bool, halfClose);
        QFETCH(bool, brokenOff);
        Loop loop;
        int fds[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        Descriptor peer(fds[1]);
        StreamPtr stream =
            *adoptSocket(loop, Descriptor(fds[0]), waits ? Gone::BrokenOff : Gone::Ended);
        if (closeWrite) stream->closeWrite();
        QCOMPARE(::write(peer.get(), "x", 1), ssize_t{1});
        if (halfClose)
            ::shutdown(peer.get(), SHUT_WR);
        else
            peer.reset();
        QCOMPARE(readToEnd(loop, *stream), "x" + (brokenOff ? kReset : "end"));
    }

    void awaitsInputWithoutReadingIt()
    {
        Loop loop;
        TcpPair pair = tcpPair(loop);
        bool came = false;
        pair.ours->awaitInput([&] { came = true; });
        runUntil(
            loop, [] { return false; }, std::chrono::milliseconds(20));
        QVERIFY(!came);
        QCOMPARE(::write(pair.theirs.get(), "x", 1), ssize_t{1});
        QVERIFY(runUntil(loop, [&] { return came; }));
        pair.theirs.reset();
        QCOMPARE(readToEnd(loop, *pair.ours), std::string("xend"));
    }

    // libuv tells of the end right behind the last bytes, and reads no more by itself.
    void anEndThatCameWithTheLastBytesIsInput()
    {
        Loop loop;
        int fds[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        Descriptor peer(fds[1]);
        StreamPtr stream = *adoptSocket(loop, Descriptor(fds[0]));
        QCOMPARE(::write(peer.get(), "x", 1), ssize_t{1});
        peer.reset();
        bool came = false;
        stream->read([&](const Result<ByteStream::Bytes>& data) {
            QCOMPARE(textOf(*data), std::string_view("x"));
            stream->awaitInput([&] { came = true; });
        });
        QVERIFY(runUntil(loop, [&] { return came; }));
        QCOMPARE(readToEnd(loop, *stream), std::string("end"));
    }

    void saysWhomItCouldNotReach()
    {
        Loop loop;
        Result<StreamPtr> outcome;
        bool done = false;
        auto connecting = connectUnix(loop, "/nonexistent/x.sock", [&](Result<StreamPtr> s) {
            outcome = std::move(s);
            done = true;
        });
        QVERIFY(runUntil(loop, [&] { return done; }));
        QVERIFY(!outcome.has_value());
        QVERIFY(outcome.error().message.find("connect to /nonexistent/x.sock") == 0);
    }
};

QTEST_GUILESS_MAIN(TestUvStream)
#include "tst_uv_stream.moc"
