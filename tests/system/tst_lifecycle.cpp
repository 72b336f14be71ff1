// Start, stop, and every death there is: what goes on, what comes back, and that nothing is left.
#include <fstream>

#include <signal.h>

#include <QElapsedTimer>
#include <QtTest>

#include "shared/process/child.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

class TestLifecycle : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::vector<std::string> m_before;

    // A container that counts, so that one can see that it has gone on.
    void startCounter()
    {
        QCOMPARE(
            m_slipway
                ->docker({"run", "-d", "--name", "counter", "-v", "kept:/kept", "box", "sh", "-c",
                          "i=0; while :; do i=$((i+1)); echo $i > /kept/n; "
                          "sleep 0.1; done"})
                .exitCode,
            0);
    }
    int count()
    {
        Output n = m_slipway->docker({"exec", "counter", "cat", "/kept/n"});
        return n.exitCode == 0 ? std::atoi(n.out.c_str()) : -1;
    }
    std::string startedAt()
    {
        return m_slipway->docker({"inspect", "-f", "{{.State.StartedAt}}", "counter"}).out;
    }
    void stopAndCompare()
    {
        Output stopped = m_slipway->slipway({"stop"});
        QVERIFY2(stopped.exitCode == 0, stopped.err.c_str());
        auto left = LeftOvers::of(m_slipway->home()).things;
        QVERIFY2(left == m_before, left.empty() ? "something went" : left.back().c_str());
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
    }

    void init()
    {
        m_slipway = std::make_unique<SlipwayFixture>();
        m_before = LeftOvers::of(m_slipway->home()).things;
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        m_slipway.reset();
    }

    void startsAndStops()
    {
        QVERIFY(m_slipway->status(0));
        QVERIFY(m_slipway->ping());
        Output again = m_slipway->slipway({"start"});
        QCOMPARE(again.exitCode, 0);
        pid_t machine = m_slipway->machinePid();
        QVERIFY(machine > 0);
        stopAndCompare();
        QVERIFY(m_slipway->status(3));
        // Nothing runs in it: nobody has to be waited for, no stream of our own either.
        QElapsedTimer timer;
        timer.start();
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        QVERIFY2(timer.elapsed() < 3000, std::to_string(timer.elapsed()).c_str());
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->docker({"run", "--rm", "box", "echo", "still here"}).out,
                 std::string("still here\n"));
    }

    void restarts()
    {
        pid_t before = m_slipway->machinePid();
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QVERIFY(m_slipway->machinePid() != before);
        QVERIFY(m_slipway->status(0));
    }

    void aKilledDockerdIsBackAndContainersGoOn()
    {
        startCounter();
        QCOMPARE(m_slipway
                     ->docker({"run", "-d", "--restart", "always", "--name", "again", "box",
                               "sleep", "1000"})
                     .exitCode,
                 0);
        std::string since = startedAt();
        pid_t dockerd = m_slipway->pidInMachine("dockerd");
        QVERIFY(dockerd > 0);
        QElapsedTimer clock;
        clock.start();
        QCOMPARE(::kill(dockerd, SIGKILL), 0);
        QVERIFY(eventually([&] { return m_slipway->pidInMachine("dockerd") != dockerd; }));
        QVERIFY(eventually([&] { return m_slipway->ping(); }));
        QVERIFY2(clock.elapsed() <= 1500, qPrintable(QString::number(clock.elapsed())));
        QCOMPARE(startedAt(), since);
        int n = count();
        QVERIFY(eventually([&] { return count() > n; }));
        QCOMPARE(m_slipway->docker({"ps", "-q", "-f", "name=again"}).out.size(), std::size_t{13});
        stopAndCompare();
    }

    void aStopDuringAStartStops()
    {
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        Command command;
        command.program = qEnvironmentVariable("SLIPWAY_BIN").toStdString() + "/slipway";
        command.args = {"start"};
        command.environment = m_slipway->environment();
        command.environment->erase("DOCKER_CONTEXT");  // Else the context would be kept for it.
        auto starting = Child::start(command);
        QVERIFY(starting.has_value());
        QVERIFY(eventually([&] { return m_slipway->machinePid() != 0; }));  // The engine is not up.
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        starting->wait();
        QVERIFY(eventually([&] { return m_slipway->machinePid() == 0; }));
        stopAndCompare();
    }

    void aKilledAgentIsBackAndContainersGoOn()
    {
        startCounter();
        std::string since = startedAt();
        pid_t dockerd = m_slipway->pidInMachine("dockerd");
        pid_t agent = m_slipway->pidInMachine("slipway-agent");
        QVERIFY(agent > 0);
        QElapsedTimer clock;
        clock.start();
        QCOMPARE(::kill(agent, SIGKILL), 0);
        QVERIFY(eventually([&] {
            pid_t now = m_slipway->pidInMachine("slipway-agent");
            return now && now != agent;
        }));
        QVERIFY(eventually([&] { return m_slipway->ping(); }));
        QVERIFY(eventually([&] { return m_slipway->slipway({"status"}).exitCode == 0; }));
        QVERIFY2(clock.elapsed() <= 2000, qPrintable(QString::number(clock.elapsed())));
        QCOMPARE(m_slipway->pidInMachine("dockerd"), dockerd);
        QCOMPARE(startedAt(), since);
        stopAndCompare();
    }

    void aKilledBridgeIsReplacedAndTheMachineAdopted()
    {
        startCounter();
        std::string since = startedAt();
        pid_t machine = m_slipway->machinePid();
        pid_t bridge = m_slipway->bridgePid();
        QVERIFY(bridge > 0);
        QCOMPARE(::kill(bridge, SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->status(4));
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->machinePid(), machine);
        QCOMPARE(startedAt(), since);
        stopAndCompare();
    }

    void stopsAfterTheBridgeWasKilled()
    {
        pid_t bridge = m_slipway->bridgePid();
        QCOMPARE(::kill(bridge, SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        stopAndCompare();
        QCOMPARE(m_slipway->machinePid(), 0);
    }

    void aKilledMachineIsStartedAnewAndNothingIsLost()
    {
        startCounter();
        pid_t machine = m_slipway->machinePid();
        QCOMPARE(::kill(machine, SIGKILL), 0);
        QVERIFY(eventually([&] {
            pid_t now = m_slipway->machinePid();
            return now && now != machine;
        }));
        QVERIFY(eventually([&] { return m_slipway->slipway({"status"}).exitCode == 0; }, 20s));
        QCOMPARE(
            m_slipway->docker({"run", "--rm", "-v", "kept:/kept", "box", "test", "-s", "/kept/n"})
                .exitCode,
            0);
        stopAndCompare();
    }

    void theWholeLotIsKilledAndTheNextStartClearsUp()
    {
        startCounter();
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QCOMPARE(::kill(m_slipway->machinePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->machinePid() && !m_slipway->bridgePid(); }));
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->docker({"image", "ls", "-q", "box"}).out.size(), std::size_t{13});
        QCOMPARE(m_slipway->docker({"volume", "ls", "-q"}).out, std::string("kept\n"));
        stopAndCompare();
    }

    void aStaleSocketIsReplaced()
    {
        stopAndCompare();
        std::ofstream(m_slipway->home().endpointSocket()) << "stale";
        std::ofstream(m_slipway->home().bridgeSocket()) << "stale";
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->ping());
    }

    void corruptSettingsAreNamedKeptAndSurvived()
    {
        stopAndCompare();
        std::ofstream(m_slipway->home().settingsFile()) << "{\n  \"files\": direct\n}\n";
        std::ofstream(m_slipway->home().daemonJson()) << "{\"debug\": true,}\n";
        QVERIFY(m_slipway->start());
        Output status = m_slipway->slipway({"status"});
        QVERIFY2(status.out.find("settings.json, line 2, column 12") != std::string::npos,
                 status.out.c_str());
        QVERIFY2(status.out.find("daemon.json, line 1, column 16") != std::string::npos,
                 status.out.c_str());
        QVERIFY(std::filesystem::exists(m_slipway->home().root / "settings.json.bad"));
        QVERIFY(std::filesystem::exists(m_slipway->home().root / "daemon.json.bad"));
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!std::filesystem::exists(m_slipway->home().root));
    }

    // Only a start needs what the machine was made of.
    void goesWithoutTheRootFileSystemsArchive()
    {
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        std::ofstream(m_slipway->home().settingsFile()) << R"({"rootfs": "/gone/root.tar.zst"})";
        stopAndCompare();
        Output start = m_slipway->slipway({"start"});
        QVERIFY(start.exitCode != 0);
        QVERIFY2(start.err.find("/gone/root.tar.zst") != std::string::npos, start.err.c_str());
        stopAndCompare();
        Output reset = m_slipway->slipway({"reset", "--yes"});
        QVERIFY2(reset.exitCode == 0, reset.err.c_str());
        QVERIFY(!std::filesystem::exists(m_slipway->home().machineDir()));
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!std::filesystem::exists(m_slipway->home().root));
    }

    void aResetForgetsWhatContainersWereGiven()
    {
        stopAndCompare();
        const auto& home = m_slipway->home();
        std::ofstream(home.settingsFile()) << R"({"files": "fuse"})";
        QVERIFY(m_slipway->start());
        auto folder = m_slipway->workDir().string();
        QCOMPARE(
            m_slipway->docker({"run", "-d", "-v", folder + ":/s", "box", "sleep", "1000"}).exitCode,
            0);
        QVERIFY(std::filesystem::exists(home.filesDir() / "grants"));
        QVERIFY(!std::filesystem::is_empty(home.endpointDir()));
        QCOMPARE(m_slipway->slipway({"reset", "--yes"}).exitCode, 0);
        QVERIFY(!std::filesystem::exists(home.filesDir()));
        QVERIFY(std::filesystem::is_empty(home.endpointDir()));
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        Output again = m_slipway->docker({"run", "--rm", "-v", folder + ":/s", "box", "ls", "/s"});
        QVERIFY2(again.exitCode == 0, again.err.c_str());
    }

    void theUsersEngineSettingsHold()
    {
        stopAndCompare();
        std::ofstream(m_slipway->home().daemonJson()) << R"({"labels": ["team=blue"]})";
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->docker({"info", "-f", "{{json .Labels}}"}).out,
                 std::string("[\"team=blue\"]\n"));
    }

    void resetsWithTheBridgeUp()
    {
        startCounter();
        QCOMPARE(m_slipway->slipway({"reset", "--yes"}).exitCode, 0);
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->docker({"image", "ls", "-q"}).out, std::string());
        QCOMPARE(m_slipway->docker({"volume", "ls", "-q"}).out, std::string());
    }

    void uninstallsEverything()
    {
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!std::filesystem::exists(m_slipway->home().root));
        QCOMPARE(LeftOvers::of(m_slipway->home()).things, m_before);
    }

    void servesNobodyElse()
    {
        // The endpoint and the bridge's socket are the user's alone.
        for (const auto& socket :
             {m_slipway->home().endpointSocket(), m_slipway->home().bridgeSocket()})
            QCOMPARE(int(std::filesystem::status(socket).permissions()), 0600);
    }
};

QTEST_GUILESS_MAIN(TestLifecycle)
#include "tst_lifecycle.moc"
