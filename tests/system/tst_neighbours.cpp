// Slipway beside others: an engine of the user's own, and another Slipway. What is theirs is the
// same before, while and after a Slipway lives.
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/other_engine.h"
#include "tests/support/own_host.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class TestNeighbours : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    // The docker command as the user has it, whose current context is that of the other engine.
    Output docker(const std::string& words)
    {
        return m_slipway->shell("unset DOCKER_CONTEXT; docker " + words);
    }

    // All that the other engine has, and what it has made of the host.
    std::string everything()
    {
        return bash(
                   "nft -s list ruleset; ip -o -4 address; ip route; cat "
                   "/proc/sys/net/ipv4/ip_forward; "
                   "stat -c '%n %i %a' /run/docker.sock; ls /run")
                   .out +
               docker(
                   "context ls; docker context show; cat $DOCKER_CONFIG/config.json; "
                   "docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.CreatedAt}}'; "
                   "docker inspect -f '{{.State.StartedAt}}' theirs; docker network ls; docker "
                   "volume ls; "
                   "docker image ls --format '{{.ID}} {{.Repository}}'")
                   .out;
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
        auto entered = enterOwnHost();
        QVERIFY2(entered, entered ? "" : entered.error().message.c_str());
    }
    void init() { m_slipway = std::make_unique<SlipwayFixture>(); }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        m_slipway.reset();
    }

    void leavesAnotherEngineAlone()
    {
        OtherEngine engine;
        QVERIFY2(eventually(
                     [&] { return docker("--host unix:///run/docker.sock version").exitCode == 0; },
                     30s),
                 engine.log().c_str());
        QCOMPARE(docker("context create mine --docker host=unix:///run/docker.sock").exitCode, 0);
        QCOMPARE(docker("context use mine").exitCode, 0);
        QCOMPARE(
            m_slipway->shell("unset DOCKER_CONTEXT; tar -C / -c bin/busybox | docker import - box")
                .exitCode,
            0);
        int theirs = freePort();
        Output web = docker(
            fmt::format("run -d --name theirs -p 127.0.0.1:{}:80 box /bin/busybox sh -c '{}'",
                        theirs, serving("theirs")));
        QVERIFY2(web.exitCode == 0, web.err.c_str());
        QVERIFY(serves(theirs, "theirs"));
        std::string before = everything();
        for (const char* part : {"172.17.0.1/16", "ip saddr 172.17.0.0/16", "mine", "theirs"})
            QVERIFY2(QString::fromStdString(before).contains(part, Qt::CaseInsensitive),
                     before.c_str());

        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->status(0));
        QVERIFY(m_slipway->makeImage());
        int ours = freePort();
        QCOMPARE(
            m_slipway
                ->docker({"run", "-d", "--name", "ours", "-p", fmt::format("127.0.0.1:{}:80", ours),
                          "box", "sh", "-c", serving("ours")})
                .exitCode,
            0);
        QVERIFY(serves(ours, "ours"));
        QVERIFY(serves(theirs, "theirs"));
        QCOMPARE(m_slipway->docker({"ps", "-a", "--format", "{{.Names}}"}).out,
                 std::string("ours\n"));
        QCOMPARE(docker("ps -a --format '{{.Names}}'").out, std::string("theirs\n"));
        QCOMPARE(docker("context show").out, std::string("mine\n"));
        std::string subnets = machineText(*m_slipway, "subnet") + " " +
                              m_slipway
                                  ->docker({"network", "inspect", "-f",
                                            "{{(index .IPAM.Config 0).Subnet}}", "bridge"})
                                  .out;
        QVERIFY2(subnets.size() > 20 && !has(subnets, "172.17."), subnets.c_str());

        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(serves(theirs, "theirs"));
        QCOMPARE(QString::fromStdString(everything()), QString::fromStdString(before));
        docker("rm -f theirs");
    }

    void runsTwiceSideBySide()
    {
        SlipwayFixture other;
        SlipwayFixture* both[] = {m_slipway.get(), &other};
        // One user has both.
        std::string shared = "unset DOCKER_CONTEXT; export DOCKER_CONFIG=" +
                             (m_slipway->workDir() / "docker").string() + "\n";
        auto contexts = [&] { return other.shell(shared + "docker context ls -q").out; };
        std::string names[2];
        std::string subnets[2];
        int ports[] = {freePort(), freePort()};
        for (int i : {0, 1}) {
            Output started = both[i]->shell(shared + kStart);
            QVERIFY2(started.exitCode == 0, started.err.c_str());
            names[i] = both[i]->home().instanceName();
            subnets[i] = machineText(*both[i], "subnet");
            QVERIFY2(has(contexts(), names[i] + "\n"), contexts().c_str());
            std::string docker = shared + "export DOCKER_CONTEXT=" + names[i] + "\n";
            Output web = both[i]->shell(
                docker + "tar -C / -c bin/busybox | docker import - box\n" +
                fmt::format("docker run -d -p 127.0.0.1:{}:80 box /bin/busybox sh -c '{}'",
                            ports[i], serving(names[i])));
            QVERIFY2(web.exitCode == 0, web.err.c_str());
        }
        QVERIFY(names[0] != names[1]);
        QVERIFY2(!subnets[0].empty() && subnets[0] != subnets[1], subnets[0].c_str());
        for (int i : {0, 1}) QVERIFY(serves(ports[i], names[i]));

        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        QVERIFY(!httpGet("127.0.0.1", ports[0]));
        QVERIFY(serves(ports[1], names[1]));
        QVERIFY(other.status(0));
        QCOMPARE(contexts(), "default\n" + names[1] + "\n" + names[1] + "-linux\n");
        QCOMPARE(other.slipway({"stop"}).exitCode, 0);
    }
};

QTEST_GUILESS_MAIN(TestNeighbours)
#include "tst_neighbours.moc"
