// Published without a port proxy: what containers listen on in the machine's network, and swarm's
// ingress.
#include <filesystem>

#include <signal.h>
#include <unistd.h>

#include <QTcpServer>
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/host_ports.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

class TestHostNetwork : public QObject {
    Q_OBJECT

    static constexpr auto kSoon = 1s;  // What is promised.

    std::unique_ptr<SlipwayFixture> m_slipway;

    std::string ports() { return m_slipway->slipway({"ports"}).out; }
    // A container with the machine's network that listens nowhere yet.
    void makeHostContainer(const std::string& name)
    {
        Output run =
            m_slipway->docker({"run", "-d", "--name", name, "--network", "host", "box", "sh", "-c",
                               "mkdir /w; echo " + name + " > /w/index.html; exec sleep 3600"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
    }
    bool listenIn(const std::string& container, const std::string& where)
    {
        return m_slipway->docker({"exec", container, "httpd", "-p", where, "-h", "/w"}).exitCode ==
               0;
    }
    bool endListenerIn(const std::string& container)
    {
        return m_slipway->docker({"exec", container, "killall", "httpd"}).exitCode == 0;
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

    void isPublishedForAsLongAsItListens_data()
    {
        QTest::addColumn<QString>("address");
        QTest::newRow("all") << "";
        QTest::newRow("loopback") << "127.0.0.1:";
    }
    void isPublishedForAsLongAsItListens()
    {
        QFETCH(QString, address);
        int port = freePort();
        makeHostContainer("hostweb");
        QVERIFY(listenIn("hostweb", address.toStdString() + std::to_string(port)));
        QVERIFY(eventually([&] { return listens(port); }, kSoon));
        QVERIFY(serves("127.0.0.1", port, "hostweb"));
        if (address.isEmpty()) QVERIFY(serves("::1", port, "hostweb"));
        std::string listed = ports();
        QVERIFY2(has(listed, fmt::format("hostweb:{}", port)), listed.c_str());

        QVERIFY(endListenerIn("hostweb"));
        QVERIFY(eventually([&] { return !listens(port); }, kSoon));
        QVERIFY(eventually([&] { return !has(ports(), "hostweb"); }, kSoon));
    }

    void goesWithItsContainer()
    {
        int port = freePort();
        makeHostContainer("shortlived");
        QVERIFY(listenIn("shortlived", std::to_string(port)));
        QVERIFY(eventually([&] { return listens(port); }, kSoon));
        QCOMPARE(m_slipway->docker({"kill", "shortlived"}).exitCode, 0);
        QVERIFY(eventually([&] { return !listens(port); }, kSoon));
    }

    // What listens in the machine is its own, or another port's listener there.
    void nothingOfTheMachinesIsPublished()
    {
        int port = freePort();
        Output run =
            m_slipway->docker({"run", "-d", "--name", "proxied", "-p",
                               fmt::format("127.0.0.1:{}:80", port), "box", "sleep", "3600"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        makeHostContainer("silent");
        int own = freePort();
        QVERIFY(listenIn("silent", "127.0.0.1:" + std::to_string(own)));
        QVERIFY(eventually([&] { return listens(own); }, kSoon));
        std::string listed = ports();
        QCOMPARE(QString(listed.c_str()).count(":"),
                 4);  // Two lines, each HOST:PORT and NAME:PORT.
        QVERIFY2(has(listed, "proxied:80"), listed.c_str());
    }

    void datagramsArePublished()
    {
        int port = freePort();
        Output run = m_slipway->shell(
            fmt::format("docker run -d --name echo --network host -v /usr:/usr:ro -v /lib:/lib:ro "
                        "-v /lib64:/lib64:ro box /usr/bin/python3 -c 'import socket\n"
                        "s = socket.socket(type=socket.SOCK_DGRAM); s.bind((\"\", {}))\n"
                        "while 1: s.sendto(*s.recvfrom(65536))'",
                        port));
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        QVERIFY(eventually([&] { return has(ports(), fmt::format("echo:{}/udp", port)); }));
        Output echoed = m_slipway->shell(
            fmt::format("/usr/bin/python3 -c 'import socket\n"
                        "s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5)\n"
                        "s.sendto(b\"hello\", (\"127.0.0.1\", {})); print(s.recv(99).decode())'",
                        port));
        QVERIFY2(echoed.out == "hello\n", (echoed.out + echoed.err).c_str());
    }

    void aTakenPortIsShownWithItsHolder()
    {
        QTcpServer holder;
        QVERIFY(holder.listen(QHostAddress::LocalHost));
        makeHostContainer("loser");
        QVERIFY(listenIn("loser", fmt::format("127.0.0.1:{}", holder.serverPort())));
        std::string expected = fmt::format("held by tst_host_networ (pid {})", ::getpid());
        QVERIFY(eventually([&] { return has(ports(), expected); }));
        std::string status = m_slipway->slipway({"status"}).out;
        QVERIFY2(has(status, fmt::format("port {} of loser", holder.serverPort())), status.c_str());
    }

    // The listener is what can be shown everywhere; the mesh behind it needs IP_VS in the kernel.
    void swarmsIngressIsPublished()
    {
        int port = freePort();
        Output swarm = m_slipway->docker({"swarm", "init", "--advertise-addr", "127.0.0.1"});
        QVERIFY2(swarm.exitCode == 0, swarm.err.c_str());
        auto left = qScopeGuard([&] { m_slipway->docker({"swarm", "leave", "--force"}); });
        Output made =
            m_slipway->docker({"service", "create", "-d", "--name", "meshed", "--publish",
                               fmt::format("{}:80", port), "box", "sh", "-c",
                               "mkdir /w; echo meshed > /w/index.html; exec httpd -f -p 80 -h /w"});
        QVERIFY2(made.exitCode == 0, made.err.c_str());
        QVERIFY(eventually([&] { return listens(port); }));
        std::string listed = ports();
        QVERIFY2(has(listed, fmt::format("meshed:{}", port)), listed.c_str());
        if (std::filesystem::exists("/proc/net/ip_vs"))
            QVERIFY(serves("127.0.0.1", port, "meshed"));

        Output taken = m_slipway->docker({"run", "--rm", "-p", fmt::format("{}:80", port), "box"});
        QVERIFY2(has(taken.err, "held by service \"meshed\""), taken.err.c_str());
        QCOMPARE(m_slipway->docker({"service", "rm", "meshed"}).exitCode, 0);
        QVERIFY(eventually([&] { return !listens(port); }));
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
        makeHostContainer("survivor");
        QVERIFY(listenIn("survivor", std::to_string(port)));
        QVERIFY(serves("127.0.0.1", port, "survivor"));
        if (victim == "slipway-bridge") {
            QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
            QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
            QVERIFY(m_slipway->start());
            QVERIFY(eventually([&] { return listens(port); }, kSoon));
        } else {
            QCOMPARE(::kill(m_slipway->pidInMachine(victim.toStdString()), SIGKILL), 0);
        }
        QVERIFY(eventually([&] { return m_slipway->ping(); }));
        QVERIFY(serves("127.0.0.1", port, "survivor"));
        QVERIFY(endListenerIn("survivor"));
        QVERIFY(eventually([&] { return !listens(port); }));
    }
};

QTEST_GUILESS_MAIN(TestHostNetwork)
#include "tst_host_network.moc"
