// How the connections of a published port end, and what they cost, over both ways that streams
// travel.
#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <vector>

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <QTcpServer>
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/descriptors_open.h"
#include "tests/support/slipway_fixture.h"
#include "tests/support/tcp_ends.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// The first byte says what the client wants: its end told ('w'), a reset ('r'), an end before its
// own ('h'), or nobody who reads ('s').
constexpr const char* kServer = R"(
import socket, struct, threading, time
threading.stack_size(1 << 16)
def all_of(c):
    got = b""
    while data := c.recv(65536): got += data
    return got
def serve(c):
    try:
        kind = c.recv(1)
        if kind == b"r":
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == b"h":
            c.send(b"first")
            c.shutdown(socket.SHUT_WR)
            print("after its end:", all_of(c).decode(), flush=True)
        else:
            c.send(kind)
            if kind == b"s": time.sleep(1000)
            c.send(b"got %d" % len(all_of(c)))
    except OSError as error:
        print(type(error).__name__, flush=True)
    c.close()
listener = socket.create_server(("", 80), backlog=1024)
while 1: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
)";
constexpr int kLive = 1000;
constexpr int kDead = 40;
constexpr std::chrono::seconds kPatience{10};

// What comes until the end, or a reset.
struct Heard {
    std::string text;
    int error = 0;
};
Heard heard(const Descriptor& client, std::size_t atMost = SIZE_MAX)
{
    Heard all;
    pollfd ready{client.get(), POLLIN, 0};
    while (all.text.size() < atMost) {
        if (::poll(&ready, 1, std::chrono::milliseconds(kPatience).count()) != 1) {
            all.error = ETIMEDOUT;
            break;
        }
        std::array<char, 4096> buffer;
        ssize_t n = ::recv(client.get(), buffer.data(), std::min(buffer.size(), atMost), 0);
        if (n < 0) all.error = errno;
        if (n <= 0) break;
        all.text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
}

bool sends(const Descriptor& client, std::string_view text)
{
    return ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
}

long residentKb(pid_t pid)
{
    std::ifstream status(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
}

}  // namespace

class TestPortStreams : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::uint16_t m_port = 0;
    std::uint16_t m_refusingPort = 0;

    Descriptor client(std::string_view wish) const
    {
        Descriptor made = connectedTo(m_port);
        if (made && !sends(made, wish)) made.reset();
        return made;
    }
    bool logged(const std::string& text) const
    {
        return eventually(
            [&] { return has(m_slipway->shell("docker logs server 2>&1").out, text); });
    }
    bool bridgeHasAtMost(int descriptors) const
    {
        return eventually([&] { return descriptorsOpen(m_slipway->bridgePid()) <= descriptors; });
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        std::ofstream(m_slipway->workDir() / "server.py") << kServer;
    }
    void cleanupTestCase() { m_slipway.reset(); }

    void init()
    {
        QTcpServer free;
        QTcpServer another;
        QVERIFY(free.listen(QHostAddress::LocalHost) && another.listen(QHostAddress::LocalHost));
        m_port = free.serverPort();
        m_refusingPort = another.serverPort();
        free.close();
        another.close();
        Output run = m_slipway->shell(
            fmt::format("docker rm -f server 2>/dev/null; docker run -d --name server -p {}:80 -p "
                        "{}:81 -v /usr:/usr:ro -v /lib:/lib:ro "
                        "-v /lib64:/lib64:ro -v {}:/w box /usr/bin/python3 /w/server.py",
                        m_port, m_refusingPort, m_slipway->workDir().string()));
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        QVERIFY(eventually([&] { return heard(client("w"), 1).text == "w"; }));
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f server 2>/dev/null");
    }

    void aResetOfTheClientIsOneInTheContainer()
    {
        Descriptor broken = client("w");
        QCOMPARE(heard(broken, 1).text, std::string("w"));
        resetOnClose(broken);
        broken.reset();
        QVERIFY(logged("ConnectionResetError"));
    }

    void aResetOfTheContainerIsOneForTheClient() { QCOMPARE(heard(client("r")).error, ECONNRESET); }

    void theClientsHalfCloseIsOne()
    {
        Descriptor half = client("w");
        std::string much(3u << 20, 'x');
        QVERIFY(sends(half, much));
        ::shutdown(half.get(), SHUT_WR);
        Heard answer = heard(half);
        QCOMPARE(answer.text, fmt::format("wgot {}", much.size()));
        QCOMPARE(answer.error, 0);
    }

    void theContainersHalfCloseIsOne()
    {
        Descriptor half = client("h");
        Heard first = heard(half);
        QCOMPARE(first.text, std::string("first"));
        QCOMPARE(first.error, 0);
        QVERIFY(sends(half, "more"));
        half.reset();
        QVERIFY(logged("after its end: more"));
    }

    void aContainerThatRefusesIsAnEnd()
    {
        Heard nothing = heard(connectedTo(m_refusingPort));
        QCOMPARE(nothing.text, std::string());
        QCOMPARE(nothing.error, 0);
    }

    void whoNeverReadsCostsLittle()
    {
        pid_t bridge = m_slipway->bridgePid();
        int descriptors = descriptorsOpen(bridge);
        long before = residentKb(bridge);
        std::vector<Descriptor> clients;
        std::string block(1u << 18, 'x');
        for (int i = 0; i < kDead; ++i) {
            clients.push_back(client("s"));
            QCOMPARE(heard(clients.back(), 1).text, std::string("s"));
            pollfd full{clients.back().get(), POLLOUT, 0};
            std::size_t sent = 0;
            while (::poll(&full, 1, 100) == 1) {
                ssize_t n =
                    ::send(full.fd, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n > 0) sent += static_cast<std::size_t>(n);
                QVERIFY(sent < (64u << 20));
            }
        }
        long each = (residentKb(bridge) - before) / kDead;
        QVERIFY2(each < 512, fmt::format("{} KB", each).c_str());
        for (const Descriptor& dead : clients) resetOnClose(dead);
        clients.clear();
        m_slipway->shell("docker rm -f server");
        QVERIFY(bridgeHasAtMost(descriptors + 8));  // Some pipes are kept.
    }

    // Last: its machine is another one.
    void allEndWithTheMachine()
    {
        pid_t bridge = m_slipway->bridgePid();
        int descriptors = descriptorsOpen(bridge);
        std::vector<Descriptor> clients;
        std::vector<pollfd> polled;
        for (int i = 0; i < kLive; ++i) {
            clients.push_back(client("w"));
            QCOMPARE(heard(clients.back(), 1).text, std::string("w"));
            polled.push_back({clients.back().get(), POLLRDHUP, 0});
        }
        // The client's and the container's; where many ride on few, only the first.
        int each = qEnvironmentVariable("SLIPWAY_STREAMS") == "multiplexed" ? 1 : 2;
        QVERIFY(descriptorsOpen(bridge) >= descriptors + each * kLive);
        QCOMPARE(::kill(m_slipway->machinePid(), SIGKILL), 0);
        auto ended = [&] {
            ::poll(polled.data(), polled.size(), 0);
            return std::count_if(polled.begin(), polled.end(),
                                 [](const pollfd& one) { return one.revents != 0; });
        };
        bool all = eventually([&] { return ended() == kLive; }, std::chrono::seconds(1));
        QVERIFY2(all, fmt::format("{} of {}", ended(), kLive).c_str());
        clients.clear();
        QCOMPARE(m_slipway->bridgePid(), bridge);
        QVERIFY(eventually([&] { return m_slipway->ping(); }, std::chrono::seconds(60)));
        QVERIFY(bridgeHasAtMost(descriptors + 8));
    }
};

QTEST_GUILESS_MAIN(TestPortStreams)
#include "tst_port_streams.moc"
