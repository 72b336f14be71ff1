// An ordinary user's Slipway: no root anywhere, a machine in a user namespace.
#include <fstream>

#include <signal.h>

#include <QTcpServer>
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/slipway_fixture.h"
#include "tests/support/test_user.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

class TestRootless : public QObject {
    Q_OBJECT

    std::unique_ptr<TestUser> m_user;
    std::unique_ptr<SlipwayFixture> m_slipway;

    void stopAndCount()
    {
        Output stopped = m_slipway->slipway({"stop"});
        QVERIFY2(stopped.exitCode == 0, stopped.err.c_str());
        auto left = LeftOvers::of(m_slipway->home()).things;
        QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
    }

    static int freePort()
    {
        QTcpServer probe;
        return probe.listen(QHostAddress::LocalHost) ? probe.serverPort() : 0;
    }

private slots:
    void initTestCase_data() { addWaysOfSharing(); }
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        auto user = TestUser::make();
        QVERIFY2(user.has_value(), user ? "" : user.error().message.c_str());
        m_user = *std::move(user);
        if (auto why = whyNoSlipwayOf(*m_user); !why.empty()) QSKIP(why.c_str());
    }
    void cleanupTestCase()
    {
        m_slipway.reset();
        m_user.reset();
    }
    // One machine for all, as unpacking its root takes the longest.
    void init()
    {
        if (!m_slipway) m_slipway = std::make_unique<SlipwayFixture>("", m_user.get());
        QVERIFY(m_slipway->startWith(settingsOfTheWay()));
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null; rm -rf *");
    }

    void runsAsTheUserAndSaysSo()
    {
        pid_t machine = m_slipway->machinePid();
        QVERIFY(machine > 0);
        std::ifstream in(fmt::format("/proc/{}/status", machine));
        std::string text(std::istreambuf_iterator<char>(in), {});
        QVERIFY2(text.find(fmt::format("Uid:\t{}\t", m_user->uid())) != std::string::npos,
                 text.c_str());
        Output status = m_slipway->slipway({"status"});
        QVERIFY2(status.out.find("rootless") != std::string::npos, status.out.c_str());
        // A test's user has no session, so nobody has delegated a cgroup to it.
        QVERIFY2(status.out.find("limits of memory and CPU and docker pause do not work") !=
                     std::string::npos,
                 status.out.c_str());
    }

    void bindsAFolderAndPublishesAPort()
    {
        int port = freePort();
        QCOMPARE(m_slipway->shell("mkdir site; echo rootless > site/index.html").exitCode, 0);
        Output run = m_slipway->docker({"run", "-d", "--name", "web", "-v",
                                        (m_slipway->workDir() / "site").string() + ":/s", "-p",
                                        fmt::format("127.0.0.1:{}:80", port), "box", "sh", "-c",
                                        "echo written > /s/new; exec httpd -f -p 80 -h /s"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        QVERIFY(eventually([&] {
            auto body = httpGet("127.0.0.1", port);
            return body && *body == "rootless\n";
        }));
        // Root in the container is the user outside.
        Output owner = m_slipway->shell("stat -c %U site/new");
        QCOMPARE(owner.out, m_user->name() + "\n");
        Output taken = m_slipway->docker(
            {"run", "--rm", "-p", fmt::format("127.0.0.1:{}:80", port), "box", "true"});
        QVERIFY(taken.exitCode != 0);
        QVERIFY2(taken.err.find("held by container \"web\"") != std::string::npos,
                 taken.err.c_str());
    }

    // By connections of the bridge, with no slirp4netns.
    void reachesTheHostAndBeyond()
    {
        QTcpServer service;
        QVERIFY(service.listen(QHostAddress::LocalHost));
        Output status = m_slipway->slipway({"status"});
        QVERIFY2(has(status.out, "egress host"), status.out.c_str());
        EXIT_0(m_slipway->docker(
            {"run", "-d", "box", "sh", "-c",
             fmt::format("sleep 100 | nc host.docker.internal {}", service.serverPort())}));
        QVERIFY(service.waitForNewConnection(10000));
        QCOMPARE(service.nextPendingConnection()->peerAddress(),
                 QHostAddress(QHostAddress::LocalHost));
        Output names =
            m_slipway->docker({"run", "--rm", "box", "nslookup", "gateway.docker.internal"});
        QVERIFY2(has(names.out, "Address: "), names.out.c_str());
    }

    void bindsOnlyWhatTheUserMayRead()
    {
        fs::path secret = m_slipway->workDir() / "secret";
        fs::create_directory(secret);  // Root's, as the test is.
        fs::permissions(secret, fs::perms::owner_all);
        Output refused =
            m_slipway->docker({"run", "--rm", "-v", secret.string() + ":/s", "box", "ls", "/s"});
        fs::remove(secret);
        QVERIFY(refused.exitCode != 0);
        QVERIFY2(
            refused.err.find("user " + m_user->name() + " may not read it") != std::string::npos,
            refused.err.c_str());
    }

    void runsAPrivilegedContainer()
    {
        Output run = m_slipway->docker({"run", "--rm", "--privileged", "box", "sh", "-c",
                                        "mkdir /t && mount -t tmpfs none /t && echo mounted"});
        QVERIFY2(run.out == "mounted\n", run.err.c_str());
    }

    void stopsAndLeavesNothingButItsHome()
    {
        QCOMPARE(m_slipway
                     ->docker({"run", "-d", "-v", "kept:/kept", "box", "sh", "-c",
                               "echo still > /kept/here; sleep 1000"})
                     .exitCode,
                 0);
        stopAndCount();
        QVERIFY(m_slipway->start());
        Output kept =
            m_slipway->docker({"run", "--rm", "-v", "kept:/kept", "box", "cat", "/kept/here"});
        QVERIFY2(kept.out == "still\n", kept.err.c_str());
    }

    void isAdoptedByTheNextBridge()
    {
        pid_t machine = m_slipway->machinePid();
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->machinePid(), machine);
        stopAndCount();
    }

    void whatAKilledOneLeavesTheNextStartAndStopClear()
    {
        QCOMPARE(m_slipway->docker({"run", "-d", "box", "sleep", "1000"}).exitCode, 0);
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QCOMPARE(::kill(m_slipway->machinePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->machinePid() && !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->status(0));
        stopAndCount();
    }

    void uninstallsEverything()
    {
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!fs::exists(m_slipway->home().root));
        QVERIFY(!fs::exists(m_slipway->home().root.parent_path() / "docker/contexts"));
        auto left = LeftOvers::of(m_slipway->home()).things;
        QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
        m_slipway.reset();
    }
};

QTEST_GUILESS_MAIN(TestRootless)
#include "tst_rootless.moc"
