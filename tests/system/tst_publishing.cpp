// Every way to ask for a published port, on a real engine.
#include <fstream>

#include <signal.h>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/host_ports.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr const char* kOtherLoopback = "127.0.0.2";  // Reached only by a port on all addresses.

// So many ports in a row that were free a moment ago, the first of them.
int freeRange(int count)
{
    while (true) {
        int first = freePort();
        bool free = first + count < 65536;
        for (int port = first; free && port < first + count; ++port) free = !listens(port);
        if (free) return first;
    }
}

int publishedPort(const std::string& line)
{
    auto colon = line.rfind(':');
    return colon == std::string::npos ? 0 : std::atoi(line.c_str() + colon + 1);
}

}  // namespace

class TestPublishing : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    // A container that answers on 80 to 82 with its name, published as told.
    void run(const std::string& name, const SlipwayFixture::Words& publish)
    {
        SlipwayFixture::Words words{"run", "-d", "--name", name};
        for (const std::string& one : publish) {
            words.push_back("-p");
            words.push_back(one);
        }
        for (const std::string& word :
             {std::string("box"), std::string("sh"), std::string("-c"),
              "mkdir /w; echo " + name +
                  " > /w/index.html; httpd -p 81 -h /w; httpd -p 82 -h /w; "
                  "exec httpd -f -p 80 -h /w"})
            words.push_back(word);
        Output started = m_slipway->docker(words);
        QVERIFY2(started.exitCode == 0, started.err.c_str());
    }
    int portOf(const std::string& container, int port)
    {
        return publishedPort(
            m_slipway->shell(fmt::format("docker port {} {} | head -n 1", container, port)).out);
    }
    void restartBridge()
    {
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->start());
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->startWith("{}"));
    }
    void cleanupTestCase() { m_slipway.reset(); }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null");
    }

    void aRange()
    {
        int first = freeRange(3);
        run("range", {fmt::format("{}-{}:80-82", first, first + 2)});
        for (int port = first; port < first + 3; ++port)
            QVERIFY(serves("127.0.0.1", port, "range"));
    }

    void oneOfARange()
    {
        int first = freeRange(3);
        run("first", {fmt::format("127.0.0.1:{}-{}:80", first, first + 2)});
        run("second", {fmt::format("127.0.0.1:{}-{}:80", first, first + 2)});
        QVERIFY(portOf("first", 80) != portOf("second", 80));
        QVERIFY(serves("127.0.0.1", portOf("first", 80), "first"));
        QVERIFY(serves("127.0.0.1", portOf("second", 80), "second"));
    }

    void anyPort_data()
    {
        QTest::addColumn<QString>("publish");
        QTest::newRow("none named") << "80";
        QTest::newRow("0") << "0:80";
        QTest::newRow("an address") << "127.0.0.1::80";
    }
    void anyPort()
    {
        QFETCH(QString, publish);
        run("any", {publish.toStdString()});
        int port = portOf("any", 80);
        QVERIFY(port > 0);
        QVERIFY(serves("127.0.0.1", port, "any"));
    }

    void severalAddressesForOnePort()
    {
        int port = freePort();
        SlipwayFixture::Words publish;
        for (const char* address : {"127.0.0.1", kOtherLoopback, "[::1]"})
            publish.push_back(fmt::format("{}:{}:80", address, port));
        run("several", publish);
        for (const char* address : {"127.0.0.1", kOtherLoopback, "::1"})
            QVERIFY(serves(address, port, "several"));
        QVERIFY(!listens(port, "127.0.0.3"));
    }

    void aNamedAddressIsToldFromNone()
    {
        int named = freePort();
        int unnamed = freePort();
        run("told", {fmt::format("0.0.0.0:{}:80", named), fmt::format("{}:81", unnamed)});
        QVERIFY(serves(kOtherLoopback, named, "told"));
        QVERIFY(serves("127.0.0.1", unnamed, "told"));
        QVERIFY(!listens(unnamed, kOtherLoopback));

        restartBridge();
        QVERIFY(serves(kOtherLoopback, named, "told"));
        QVERIFY(serves("127.0.0.1", unnamed, "told"));
        QVERIFY(!listens(unnamed, kOtherLoopback));
        QCOMPARE(m_slipway->docker({"restart", "-t", "0", "told"}).exitCode, 0);
        QVERIFY(serves(kOtherLoopback, named, "told"));
        QVERIFY(!listens(unnamed, kOtherLoopback));
    }

    // busybox's nc shows what comes first: the header, of which the client's address is at 16.
    void aLabelAsksForTheClientsAddress()
    {
        int port = freePort();
        Output run = m_slipway->shell(fmt::format(
            "docker run -d --name told --label io.slipway.proxy-protocol=80 -p {}:80 "
            "-p 127.0.0.1::81 box sh -c 'nc -l -p 81 > /plain & nc -l -p 80 > /first; sleep 3600'",
            port));
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        auto got = [&](const char* file) {
            return m_slipway
                ->shell(fmt::format("docker exec told hexdump -ve '1/1 \"%02x\"' {}", file))
                .out;
        };
        auto ask = [&](int at) {
            m_slipway->shell(
                fmt::format("curl -s -m 1 --noproxy '*' --interface {} http://127.0.0.1:{}/",
                            kOtherLoopback, at));
        };
        const std::string get = "474554202f";  // GET /
        // Signature, PROXY, TCP over IPv4, 12 bytes, from 127.0.0.2 to 127.0.0.1.
        const std::string header = "0d0a0d0a000d0a515549540a2111000c7f0000027f000001";
        QVERIFY(eventually([&] {
            ask(port);
            return has(got("/first"), get);
        }));
        QVERIFY2(got("/first").starts_with(header), got("/first").c_str());
        QVERIFY(eventually([&] {
            ask(portOf("told", 81));
            return has(got("/plain"), get);
        }));
        QVERIFY2(got("/plain").starts_with(get), got("/plain").c_str());
    }

    void moreThanThereIsRoomForIsRefused()
    {
        SlipwayFixture small("{}");
        Output started = small.shell("ulimit -n 1024; exec \"$SLIPWAY_BIN\"/slipway start");
        QVERIFY2(started.exitCode == 0, started.err.c_str());
        QVERIFY(small.makeImage());
        Output storm = small.docker({"run", "-d", "-p", "20000-20600:20000-20600", "box"});
        QVERIFY(storm.exitCode != 0);
        for (const char* part : {"1024 files", "ulimit -Hn"})
            QVERIFY2(has(storm.err, part), storm.err.c_str());
        int port = freePort();
        Output run = small.docker({"run", "-d", "-p", fmt::format("{}:80", port), "box", "sh", "-c",
                                   "mkdir /w; echo after > /w/index.html; "
                                   "exec httpd -f -p 80 -h /w"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        QVERIFY(serves("127.0.0.1", port, "after"));
    }

    void theSettingDecidesForACompositionToo_data()
    {
        QTest::addColumn<QString>("settings");
        QTest::addColumn<bool>("everywhere");
        QTest::newRow("localhost") << "{}" << false;
        QTest::newRow("all") << R"({"publish": "all"})" << true;
    }
    void theSettingDecidesForACompositionToo()
    {
        QFETCH(QString, settings);
        QFETCH(bool, everywhere);
        QVERIFY(m_slipway->startWith(settings.toStdString()));
        int port = freePort();
        run("single", {fmt::format("{}:80", port)});
        QVERIFY(serves("127.0.0.1", port, "single"));
        QCOMPARE(listens(port, kOtherLoopback), everywhere);

        bool v2 = m_slipway->shell("docker compose version").exitCode == 0;
        if (!v2 && m_slipway->shell("docker-compose version").exitCode != 0)
            QSKIP("no compose here; apt-get install --no-install-recommends docker-compose");
        std::string compose = v2 ? "docker compose" : "docker-compose --no-ansi";
        int composed = freePort();
        std::ofstream(m_slipway->workDir() / "docker-compose.yml") << fmt::format(
            "version: '3'\nservices:\n  web:\n    image: box\n    ports: ['{}:80']\n"
            "    command: sh -c \"mkdir /w; echo composed > /w/index.html; exec httpd -f -p 80 "
            "-h /w\"\n",
            composed);
        Output up = m_slipway->shell(compose + " up -d 2>&1");
        QVERIFY2(up.exitCode == 0, up.out.c_str());
        QVERIFY(serves("127.0.0.1", composed, "composed"));
        QCOMPARE(listens(composed, kOtherLoopback), everywhere);
        Output down = m_slipway->shell(compose + " down 2>&1");
        QVERIFY2(down.exitCode == 0, down.out.c_str());
        QVERIFY(eventually([&] { return !listens(composed); }));
    }
};

QTEST_GUILESS_MAIN(TestPublishing)
#include "tst_publishing.moc"
