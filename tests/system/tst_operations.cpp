// Operations that meet each other or a fault: what is said, what goes on, and that nothing is lost.
#include <cstring>
#include <fstream>

#include <csignal>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QtTest>

#include "shared/process/child.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::string textOf(const fs::path& file)
{
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

#define HAS(text, part)                                                      \
    do {                                                                     \
        const std::string text_ = (text);                                    \
        QVERIFY2(has(text_, part), text_.empty() ? "empty" : text_.c_str()); \
    } while (false)

}  // namespace

class TestOperations : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::vector<std::string> m_before;
    fs::path m_said;  // What a command in the background has written.

    void make(const std::string& settings = {})
    {
        m_slipway = std::make_unique<SlipwayFixture>(settings);
        m_before = LeftOvers::of(m_slipway->home()).things;
        m_said = m_slipway->workDir() / "said";
    }
    // A machine whose root file system has to be unpacked first, which takes a while.
    void makeUnpacking()
    {
        make("{\"rootfs\": \"" + qEnvironmentVariable("SLIPWAY_ROOTFS").toStdString() +
             ".tar.zst\"}");
    }
    void makeRunning()
    {
        make();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }

    Result<Child> inBackground(const std::string& verb)
    {
        Command command;
        command.program = qEnvironmentVariable("SLIPWAY_BIN").toStdString() + "/slipway";
        command.args = {verb};
        command.environment = m_slipway->environment();
        command.out = m_said;
        command.err = m_said;
        return Child::start(command);
    }
    std::string status() { return m_slipway->slipway({"status"}).out; }
    bool statusSays(const std::string& text)
    {
        return eventually([&] { return has(status(), text); }, 20s);
    }
    // A container that makes a stop take its whole grace of ten seconds.
    void startStubborn()
    {
        QCOMPARE(m_slipway
                     ->docker({"run", "-d", "--stop-signal", "TERM", "--name", "stubborn", "box",
                               "sh", "-c", "trap '' TERM; while :; do sleep 1; done"})
                     .exitCode,
                 0);
    }
    void killBridge(int signal)
    {
        pid_t bridge = m_slipway->bridgePid();
        QVERIFY(bridge > 0);
        QCOMPARE(::kill(bridge, signal), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }, 2s));
    }
    void compareLeftOvers()
    {
        std::vector<std::string> left;
        bool same = eventually(
            [&] { return (left = LeftOvers::of(m_slipway->home()).things) == m_before; }, 2s);
        QVERIFY2(same, left.empty() ? "something went" : left.back().c_str());
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        m_slipway.reset();
    }

    void aBridgeThatRunsEndsWhenToldAndLeavesTheMachine()
    {
        makeRunning();
        pid_t machine = m_slipway->machinePid();
        killBridge(SIGTERM);
        QCOMPARE(m_slipway->machinePid(), machine);
        QVERIFY(m_slipway->start());
        QCOMPARE(m_slipway->machinePid(), machine);
    }

    void aBridgeEndsInTheMidstOfAStart_data()
    {
        QTest::addColumn<int>("signal");
        QTest::newRow("told to") << SIGTERM;
        QTest::newRow("killed") << SIGKILL;
    }
    void aBridgeEndsInTheMidstOfAStart()
    {
        QFETCH(int, signal);
        makeUnpacking();
        auto starting = inBackground("start");
        QVERIFY(starting);
        QVERIFY(statusSays("unpacking"));
        killBridge(signal);
        QVERIFY(starting->wait() != 0);
        if (signal == SIGTERM) HAS(textOf(m_said), "told to end");
        compareLeftOvers();  // Nobody is left that would be in the next bridge's way.
    }

    void aStopDuringAnUnpackIsNotKeptWaiting()
    {
        makeUnpacking();
        auto starting = inBackground("start");
        QVERIFY(starting);
        QVERIFY(statusSays("unpacking"));
        QElapsedTimer clock;
        clock.start();
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        QVERIFY2(clock.elapsed() < 5000, qPrintable(QString::number(clock.elapsed())));
        QVERIFY(starting->wait() != 0);
        HAS(textOf(m_said), "told to stop");
        compareLeftOvers();
    }

    void aBridgeToldToEndInTheMidstOfAStopEnds()
    {
        makeRunning();
        startStubborn();
        auto stopping = inBackground("stop");
        QVERIFY(stopping);
        QVERIFY(statusSays("stopping"));
        killBridge(SIGTERM);
        stopping->wait();
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        compareLeftOvers();
    }

    void aSecondStopJoinsAndAStartIsRefused()
    {
        makeRunning();
        startStubborn();
        auto first = inBackground("stop");
        QVERIFY(first);
        QVERIFY(statusSays("stopping"));
        Output start = m_slipway->slipway({"start"});
        QCOMPARE(start.exitCode, 1);
        HAS(start.err, "try again in a moment");
        Output second = m_slipway->slipway({"stop"});
        QVERIFY2(second.exitCode == 0, second.err.c_str());
        QCOMPARE(first->wait(), 0);
        compareLeftOvers();
    }

    void aSecondBridgeIsRefused()
    {
        make();
        QVERIFY(m_slipway->start());
        Output second = m_slipway->shell("\"$SLIPWAY_BIN\"/slipway-bridge");
        QCOMPARE(second.exitCode, 1);
        HAS(second.err, "another bridge serves");
        QVERIFY(m_slipway->ping());
    }

    // Its status is being measured when the machine goes: whoever waits must not be forgotten.
    void aStatusIsAnsweredThoughTheMachineDiesMeanwhile()
    {
        make();
        QVERIFY(m_slipway->start());
        QCOMPARE(::kill(m_slipway->pidInMachine("slipway-agent"), SIGSTOP), 0);
        auto asking = inBackground("status");
        QVERIFY(asking);
        QVERIFY(eventually([&] { return asking->pid() && m_slipway->bridgePid(); }));
        QCOMPARE(::kill(m_slipway->machinePid(), SIGKILL), 0);
        asking->wait();
        HAS(textOf(m_said), "Slipway ");
        QVERIFY(eventually([&] { return m_slipway->slipway({"status"}).exitCode == 0; }, 20s));
    }

    void settingsHoldFromTheNextRestart()
    {
        make();
        QVERIFY(m_slipway->start());
        std::ofstream(m_slipway->home().settingsFile()) << R"({"files": "fuse"})";
        std::ofstream(m_slipway->home().daemonJson()) << R"({"labels": ["team=blue"]})";
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        HAS(status(), "fuse");
        QCOMPARE(m_slipway->docker({"info", "-f", "{{json .Labels}}"}).out,
                 std::string("[\"team=blue\"]\n"));

        std::ofstream(m_slipway->home().settingsFile()) << "{\n  \"files\": direct\n}\n";
        Output restarted = m_slipway->slipway({"restart"});
        QCOMPARE(restarted.exitCode, 0);
        HAS(restarted.out, "settings.json, line 2, column 12");
        HAS(status(), "line 2, column 12");
        HAS(status(), "name it settings.json again, then: slipway restart");
        HAS(status(), "direct");
        QVERIFY(fs::exists(m_slipway->home().root / "settings.json.bad"));
    }

    void aDaemonJsonThatDockerdRefusesIsNamedAndTriedOnce()
    {
        make();
        std::ofstream(m_slipway->home().daemonJson()) << R"({"no-such-key": 1})";
        QVERIFY(m_slipway->start());
        HAS(status(), "no-such-key");
        HAS(status(), "`slipway restart`");
        pid_t dockerd = m_slipway->pidInMachine("dockerd");
        pid_t agent = m_slipway->pidInMachine("slipway-agent");
        QCOMPARE(::kill(agent, SIGKILL), 0);
        QVERIFY(eventually([&] {
            pid_t now = m_slipway->pidInMachine("slipway-agent");
            return now && now != agent;
        }));
        QVERIFY(statusSays("running"));
        killBridge(SIGTERM);
        QVERIFY(m_slipway->start());
        HAS(status(), "no-such-key");
        QCOMPARE(m_slipway->pidInMachine("dockerd"), dockerd);

        std::ofstream(m_slipway->home().daemonJson()) << R"({"labels": ["team=blue"]})";
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QVERIFY(!has(status(), "no-such-key"));
        QCOMPARE(m_slipway->docker({"info", "-f", "{{json .Labels}}"}).out,
                 std::string("[\"team=blue\"]\n"));
    }

    // dockerd's own check finds nothing wrong with it.
    void aDaemonJsonThatStopsDockerdIsToldSoonWithTheWayOut()
    {
        make();
        std::ofstream(m_slipway->home().daemonJson()) << R"({"storage-driver": "no-such"})";
        QElapsedTimer clock;
        clock.start();
        Output start = m_slipway->slipway({"start"});
        QVERIFY2(clock.elapsed() < 30'000, qPrintable(QString::number(clock.elapsed())));
        QCOMPARE(start.exitCode, 1);
        HAS(start.err, "no-such");
        HAS(start.err, "daemon.json");
        HAS(start.err, "`slipway restart`");
        QVERIFY(m_slipway->status(5));
        HAS(status(), "no-such");

        fs::remove(m_slipway->home().daemonJson());
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QVERIFY(m_slipway->status(0));
    }

    void aMachineThatCantBeTakenOverIsLeftAlone_data()
    {
        QTest::addColumn<QString>("token");
        QTest::addColumn<QString>("wayOut");
        QTest::newRow("absent") << ""
                                << "restart";
        QTest::newRow("wrong") << QString(64, 'a') << "stop";
        QTest::newRow("nonsense") << "what"
                                  << "stop";
    }
    void aMachineThatCantBeTakenOverIsLeftAlone()
    {
        QFETCH(QString, token);
        QFETCH(QString, wayOut);
        makeRunning();
        QCOMPARE(m_slipway
                     ->docker({"run", "-d", "--name", "work", "-v", "kept:/kept", "box", "sh", "-c",
                               "echo kept > /kept/f; exec sleep 1000"})
                     .exitCode,
                 0);
        pid_t machine = m_slipway->machinePid();
        killBridge(SIGKILL);
        fs::remove(m_slipway->home().tokenFile());
        if (!token.isEmpty()) std::ofstream(m_slipway->home().tokenFile()) << token.toStdString();

        for (int i = 0; i < 2; ++i) {
            Output start = m_slipway->slipway({"start"});
            QCOMPARE(start.exitCode, 1);
            HAS(start.err, "slipway restart");
            if (token.size() == 64) HAS(start.err, "does not accept this token");
            QVERIFY(m_slipway->status(5));
            HAS(status(), "trouble");
        }
        QCOMPARE(m_slipway->machinePid(), machine);
        QVERIFY(m_slipway->pidInMachine("containerd-shim") > 0);  // The container's.

        Output out = m_slipway->slipway({wayOut.toStdString()});
        QVERIFY2(out.exitCode == 0, out.err.c_str());
        if (wayOut == "stop") compareLeftOvers();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->machinePid() != machine);
        QCOMPARE(
            m_slipway->docker({"run", "--rm", "-v", "kept:/kept", "box", "cat", "/kept/f"}).out,
            std::string("kept\n"));
    }

    void aFullDiskIsNamedAndNothingIsLost()
    {
        make();
        const fs::path root = m_slipway->home().root;
        QCOMPARE(::mount("tmpfs", root.c_str(), "tmpfs", 0, "size=96m"), 0);
        auto unmount = qScopeGuard([&] {
            m_slipway->slipway({"uninstall", "--yes"});
            ::umount2(root.c_str(), MNT_DETACH);
        });
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        QCOMPARE(m_slipway
                     ->docker({"run", "--rm", "-v", "kept:/kept", "box", "sh", "-c",
                               "echo kept > /kept/f"})
                     .exitCode,
                 0);
        m_slipway->shell("cat /dev/zero > '" + root.string() + "/filler'");
        Output full = m_slipway->docker({"run", "--rm", "box", "true"});
        QVERIFY(full.exitCode != 0);
        HAS(QString::fromStdString(full.err).toLower().toStdString(), "no space left on device");
        HAS(status(), "running");
        Output stop = m_slipway->slipway({"stop"});
        QVERIFY2(stop.exitCode == 0, stop.err.c_str());

        Output start = m_slipway->slipway({"start"});
        QCOMPARE(start.exitCode, 1);
        HAS(start.err, "MiB are free on the disk of " + root.string());
        HAS(status(), "make room");

        fs::remove(root / "filler");
        QVERIFY(m_slipway->start());
        QCOMPARE(
            m_slipway->docker({"run", "--rm", "-v", "kept:/kept", "box", "cat", "/kept/f"}).out,
            std::string("kept\n"));
    }

    void aStreamThatSaysNothingIsClosed()
    {
        make();
        QVERIFY(m_slipway->start());
        Descriptor stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::string path = m_slipway->home().tunnelSocket().string();
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        QCOMPARE(::connect(stream.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        timeval limit{5, 0};
        ::setsockopt(stream.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        QElapsedTimer clock;
        clock.start();
        char greeting[4096];
        ssize_t count = 0;
        while ((count = ::recv(stream.get(), greeting, sizeof greeting, 0)) > 0) {
        }
        QCOMPARE(count, ssize_t{0});
        QVERIFY2(clock.elapsed() < 2000, qPrintable(QString::number(clock.elapsed())));
        QVERIFY(m_slipway->ping());
    }

    // PID 1 can't start the agent: it tries again, ever more slowly, and does not spin.
    void initWaitsWhileItHasNoDescriptors()
    {
        make();
        QVERIFY(m_slipway->start());
        pid_t machine = m_slipway->machinePid();
        rlimit none{0, 0}, before{};
        QCOMPARE(::prlimit(machine, RLIMIT_NOFILE, nullptr, &before), 0);
        none.rlim_max = before.rlim_max;
        QCOMPARE(::prlimit(machine, RLIMIT_NOFILE, &none, nullptr), 0);
        QCOMPARE(::kill(m_slipway->pidInMachine("slipway-agent"), SIGKILL), 0);
        auto failures = [&] {
            return QString::fromStdString(textOf(m_slipway->home().logDir() / "agent.log"))
                .count("start the agent: Too many open files");
        };
        QVERIFY(eventually([&] { return failures() >= 3; }));
        QVERIFY2(failures() < 10, qPrintable(QString::number(failures())));
        QCOMPARE(::prlimit(machine, RLIMIT_NOFILE, &before, nullptr), 0);
        QVERIFY(eventually([&] { return m_slipway->ping(); }));
    }
};

QTEST_GUILESS_MAIN(TestOperations)
#include "tst_operations.moc"
