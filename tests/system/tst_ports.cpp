// Published ports of a real engine on the host.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <signal.h>

#include <QTcpServer>
#include <QtTest>
#include <fmt/format.h>

#include "shared/io/descriptor.h"
#include "tests/support/host_ports.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// A UDP client of one port of this host.
class Datagrams {
public:
    int freePort()
    {
        holdPort();
        socklen_t length = sizeof m_port;
        ::getsockname(m_held.get(), reinterpret_cast<sockaddr*>(&m_port), &length);
        m_held.reset();
        timeval patience{0, 200'000};
        ::setsockopt(m_client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::connect(m_client.get(), reinterpret_cast<sockaddr*>(&m_port), sizeof m_port);
        return ntohs(m_port.sin_port);
    }
    bool holdPort()
    {
        m_port.sin_family = AF_INET;
        m_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        m_held = udp();
        return ::bind(m_held.get(), reinterpret_cast<sockaddr*>(&m_port), sizeof m_port) == 0;
    }
    bool comesBack(const std::string& text) const
    {
        std::string got(65536, '\0');
        if (::send(m_client.get(), text.data(), text.size(), 0) < 0) return false;
        ssize_t count = ::recv(m_client.get(), got.data(), got.size(), 0);
        return count >= 0 && got.substr(0, static_cast<std::size_t>(count)) == text;
    }

private:
    static Descriptor udp() { return Descriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

    sockaddr_in m_port{};
    Descriptor m_held;
    Descriptor m_client = udp();
};

}  // namespace

class TestPorts : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    Output web(const std::string& name, const std::string& publish)
    {
        return docker({"run", "-d", "--name", name, "-p", publish, "box", "sh", "-c",
                       "mkdir /w; echo " + name + " > /w/index.html; exec httpd -f -p 80 -h /w"});
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }
    void cleanupTestCase() { m_slipway.reset(); }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null");
    }

    void isBoundBeforeRunReturns()
    {
        int port = freePort();
        QCOMPARE(web("bound", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(listens(port));
        QVERIFY(serves("127.0.0.1", port, "bound"));
        QVERIFY(serves("::1", port, "bound"));
    }

    void keepsTheAddressAskedFor()
    {
        int port = freePort();
        QCOMPARE(web("second", "127.0.0.2:" + std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(serves("127.0.0.2", port, "second"));
        QVERIFY(!listens(port));
    }

    void aRandomPortIsFound()
    {
        QCOMPARE(web("random", "127.0.0.1::80").exitCode, 0);
        std::string text = docker({"port", "random", "80"}).out;
        QVERIFY(serves("127.0.0.1", std::stoi(text.substr(text.rfind(':') + 1)), "random"));
    }

    void aTakenPortFailsTheRunAndNamesTheHolder()
    {
        QTcpServer holder;
        QVERIFY(holder.listen(QHostAddress::LocalHost));
        Output refused = web("refused", fmt::format("127.0.0.1:{}:80", holder.serverPort()));
        QVERIFY(refused.exitCode != 0);
        std::string expected = fmt::format("held by tst_ports (pid {})", ::getpid());
        QVERIFY2(refused.err.find(expected) != std::string::npos, refused.err.c_str());
    }

    void aPortOfAnotherContainerNamesTheContainer()
    {
        int port = freePort();
        QCOMPARE(web("holder", std::to_string(port) + ":80").exitCode, 0);
        Output refused = web("loser", std::to_string(port) + ":80");
        QVERIFY(refused.exitCode != 0);
        for (const std::string& expected :
             {fmt::format(":{}", port), std::string("held by container \"holder\"")})
            QVERIFY2(refused.err.find(expected) != std::string::npos, refused.err.c_str());
    }

    void isWithdrawnWhenTheContainerEnds_data()
    {
        QTest::addColumn<QStringList>("command");
        QTest::newRow("stop") << QStringList{"stop", "-t", "0", "ended"};
        QTest::newRow("kill") << QStringList{"kill", "ended"};
        QTest::newRow("rm -f") << QStringList{"rm", "-f", "ended"};
    }
    void isWithdrawnWhenTheContainerEnds()
    {
        QFETCH(QStringList, command);
        int port = freePort();
        QCOMPARE(web("ended", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(serves("127.0.0.1", port, "ended"));
        SlipwayFixture::Words words;
        for (const QString& word : command) words.push_back(word.toStdString());
        QCOMPARE(docker(words).exitCode, 0);
        QVERIFY(eventually([&] { return !listens(port); }));
        QVERIFY(m_slipway->slipway({"ports"}).out.find(std::to_string(port)) == std::string::npos);
    }

    // As Docker's own proxy has it: on localhost, where dockerd looks for a registry too, and at
    // the gateway of a container's network.
    void isThereInsideTheMachineToo()
    {
        int port = freePort();
        QCOMPARE(web("inside", std::to_string(port) + ":80").exitCode, 0);
        // Debian's static wget crashes where it finds no libraries for names.
        auto fetch = [&](const std::string& network, const std::string& address) {
            return docker({"run", "--rm", "--network", network, "box", "sh", "-c",
                           fmt::format("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {} {} | "
                                       "tail -n 1",
                                       address, port)});
        };
        for (const auto& [network, address] :
             {std::pair("host", "127.0.0.1"), std::pair("host", "::1"),
              std::pair("bridge", "172.17.0.1")}) {
            Output got = fetch(network, address);
            QVERIFY2(got.out == "inside\n", (got.out + got.err).c_str());
        }
        Output pull = docker({"pull", fmt::format("localhost:{}/no-such", port)});
        QVERIFY2(pull.err.find("404 Not Found") != std::string::npos, pull.err.c_str());

        QCOMPARE(::kill(m_slipway->pidInMachine("slipway-agent"), SIGKILL), 0);
        QVERIFY(eventually([&] { return fetch("host", "127.0.0.1").out == "inside\n"; }));
        QCOMPARE(docker({"rm", "-f", "inside"}).exitCode, 0);
        Output gone = fetch("host", "127.0.0.1");
        QVERIFY2(gone.err.find("refused") != std::string::npos, (gone.out + gone.err).c_str());
    }

    void datagramsGoBothWays()
    {
        Datagrams datagrams;
        std::string port = std::to_string(datagrams.freePort());
        const std::string python =
            "-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro box /usr/bin/python3 -c ";
        Output run = m_slipway->shell(
            "docker run -d --name echo -p " + port + ":7/udp " + python +
            "'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind((\"\", 7))\n"
            "while 1: s.sendto(*s.recvfrom(65536))'");
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        for (std::size_t bytes : {5u, 1472u, 65507u})
            QVERIFY2(eventually([&] { return datagrams.comesBack(std::string(bytes, 'x')); }),
                     std::to_string(bytes).c_str());

        Output inside = m_slipway->shell(
            "docker run --rm --network host " + python +
            "'import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5)\n"
            "s.sendto(b\"inside\", (\"127.0.0.1\", " +
            port + ")); print(s.recv(99).decode())'");
        QVERIFY2(inside.out == "inside\n", (inside.out + inside.err).c_str());
        Output ports = m_slipway->slipway({"ports"});
        QVERIFY2(ports.out.find("echo:7/udp") != std::string::npos, ports.out.c_str());

        QCOMPARE(m_slipway->shell("docker rm -f echo").exitCode, 0);
        QVERIFY(eventually([&] { return datagrams.holdPort(); }));
        Output taken = m_slipway->shell("docker run --rm -p " + port + ":7/udp box true");
        std::string holder = fmt::format("bind 127.0.0.1:{}/udp: held by", port);
        QVERIFY2(has(taken.err, holder) && has(taken.err, fmt::format("(pid {})", ::getpid())),
                 taken.err.c_str());
    }

    void isListed()
    {
        int port = freePort();
        QCOMPARE(web("listed", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(serves("127.0.0.1", port, "listed"));
        Output ports = m_slipway->slipway({"ports"});
        QVERIFY2(ports.out.find(std::to_string(port)) != std::string::npos, ports.out.c_str());
        QVERIFY2(ports.out.find("listed:80") != std::string::npos, ports.out.c_str());
    }

    // A line for each state: none, published, none, and the bridge's end is none too.
    void isWatched()
    {
        auto lines = [this] { return m_slipway->shell("grep -c . watched").out; };
        auto last = [this] { return m_slipway->shell("tail -n 1 watched").out; };
        m_slipway->shell(
            "timeout 60 \"$SLIPWAY_BIN\"/slipway ports --watch --json >watched 2>&1 & echo $! "
            ">watcher");
        QVERIFY(eventually([&] { return last() == "[]\n"; }));
        int port = freePort();
        QCOMPARE(web("watched", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(eventually([&] {
            return has(last(), fmt::format("\"host_port\":{},\"container\":\"watched\"", port));
        }));
        auto before = lines();
        for (int i = 0; i < 3; ++i) httpGet("127.0.0.1", port);
        QCOMPARE(docker({"rm", "-f", "watched"}).exitCode, 0);
        QVERIFY(eventually([&] { return last() == "[]\n"; }));
        QVERIFY2(std::stoi(lines()) <= std::stoi(before) + 2, lines().c_str());  // IPv4 and IPv6.
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->start());
        QCOMPARE(web("watched", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(eventually([&] { return has(last(), "\"container\":\"watched\""); }));
        QCOMPARE(m_slipway->shell("kill $(cat watcher)").exitCode, 0);
    }

    void survivesADeath_data()
    {
        QTest::addColumn<QString>("victim");
        QTest::newRow("dockerd") << "dockerd";
        QTest::newRow("agent") << "slipway-agent";
        QTest::newRow("bridge") << "slipway-bridge";
    }
    void survivesADeath()
    {
        QFETCH(QString, victim);
        int port = freePort();
        QCOMPARE(web("survivor", std::to_string(port) + ":80").exitCode, 0);
        QVERIFY(serves("127.0.0.1", port, "survivor"));
        if (victim == "slipway-bridge") {
            QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
            QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
            QVERIFY(m_slipway->start());
            QVERIFY(eventually([&] { return listens(port); }, std::chrono::seconds(1)));
        } else {
            QCOMPARE(::kill(m_slipway->pidInMachine(victim.toStdString()), SIGKILL), 0);
        }
        QVERIFY(eventually([&] { return m_slipway->ping(); }));
        QVERIFY(serves("127.0.0.1", port, "survivor"));
        QCOMPARE(docker({"rm", "-f", "survivor"}).exitCode, 0);
        QVERIFY(eventually([&] { return !listens(port); }, std::chrono::seconds(15)));
    }
};

QTEST_GUILESS_MAIN(TestPorts)
#include "tst_ports.moc"
