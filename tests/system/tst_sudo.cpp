// A person who starts Slipway with sudo: a machine of root's, and all else is the person's.
#include <fstream>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/slipway_fixture.h"
#include "tests/support/test_user.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

class TestSudo : public QObject {
    Q_OBJECT

    std::unique_ptr<TestUser> m_user;
    std::unique_ptr<SlipwayFixture> m_slipway;

    // The person's own call, without sudo.
    Output plain(const std::string& command)
    {
        return m_slipway->shell("\"$SLIPWAY_BIN/slipway\" " + command);
    }

    // What in the person's home is not theirs; the machine is root's own.
    std::vector<std::string> strangersFiles() const
    {
        std::vector<std::string> found;
        fs::recursive_directory_iterator at(m_user->home()), end;
        for (; at != end; ++at) {
            if (at->path() == m_slipway->home().machineDir() ||
                at->path() == m_slipway->workDir()) {
                at.disable_recursion_pending();
                continue;
            }
            struct stat info {};
            if (::lstat(at->path().c_str(), &info) != 0) continue;
            if (info.st_uid != m_user->uid() || info.st_gid != m_user->gid())
                found.push_back(
                    fmt::format("{} is {}:{}'s", at->path().string(), info.st_uid, info.st_gid));
        }
        return found;
    }

    void everythingIsThePersons()
    {
        auto strange = strangersFiles();
        QVERIFY2(strange.empty(), strange.empty() ? "" : strange.front().c_str());
    }

    void nothingIsLeft()
    {
        auto left = LeftOvers::of(m_slipway->home()).things;
        QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
    }

    // A folder of root's with the given mode and group.
    fs::path rootsFolder(const std::string& name, mode_t mode, gid_t group)
    {
        fs::path folder = m_slipway->workDir() / name;
        fs::create_directories(folder);
        std::ofstream(folder / "f") << name << "\n";
        if (::chown(folder.c_str(), 0, group) != 0 || ::chmod(folder.c_str(), mode) != 0)
            std::perror(folder.c_str());
        return folder;
    }

    Output readIn(const fs::path& folder)
    {
        return m_slipway->docker(
            {"run", "--rm", "-v", folder.string() + ":/s", "box", "cat", "/s/f"});
    }

private slots:
    void initTestCase_data() { addWaysOfSharing(); }
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        auto user = TestUser::make();
        QVERIFY2(user.has_value(), user ? "" : user.error().message.c_str());
        m_user = *std::move(user);
        QVERIFY(m_user->join("games"));
        qputenv("SUDO_UID", QByteArray::number(m_user->uid()));
        qputenv("SUDO_GID", QByteArray::number(m_user->gid()));
        qputenv("SUDO_USER", m_user->name().c_str());
    }
    void cleanupTestCase()
    {
        m_slipway.reset();  // Of an init() that failed.
        m_user.reset();
        for (const char* name : {"SUDO_UID", "SUDO_GID", "SUDO_USER"}) qunsetenv(name);
    }

    // Until one uninstalls it: unpacking its root takes the longest.
    void init()
    {
        if (!m_slipway) m_slipway = std::make_unique<SlipwayFixture>("", m_user.get(), Sudo::Yes);
        QVERIFY(m_slipway->startWith(settingsOfTheWay()));
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null; rm -rf *");
    }

    void worksForThePersonWithoutSudo()
    {
        Output status = plain("status");
        QVERIFY2(status.exitCode == 0, (status.out + status.err).c_str());
        QVERIFY2(status.out.find("context slipway") != std::string::npos, status.out.c_str());
        QVERIFY2(status.out.find("sandbox, root") != std::string::npos, status.out.c_str());
        Output run = m_slipway->shell(
            "unset DOCKER_CONTEXT; mkdir site; echo theirs > site/f; "
            "docker --context slipway run --rm -v $PWD/site:/s box cat /s/f");
        QVERIFY2(run.out == "theirs\n", (run.out + run.err).c_str());
        QCOMPARE(plain("restart").exitCode, 0);
        everythingIsThePersons();
        QCOMPARE(plain("stop").exitCode, 0);
        nothingIsLeft();
    }

    void everyFileInTheHomeIsThePersons()
    {
        Output run = m_slipway->docker({"run", "-d", "--name", "kept", "-v",
                                        (m_slipway->workDir() / "made").string() + ":/s", "box",
                                        "sleep", "1000"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        const auto& home = m_slipway->home();
        std::vector<fs::path> made{home.bridgeLock(),
                                   home.machineFile(),
                                   home.tokenFile(),
                                   home.tunnelSocket(),
                                   home.logDir() / "bridge.log",
                                   home.logDir() / "agent.log",
                                   home.logDir() / "engine.log",
                                   m_user->home() / ".docker/contexts/meta"};
        QFETCH_GLOBAL(std::string, files);
        if (files == "fuse") made.push_back(home.filesDir() / "grants");
        for (const auto& file : made) QVERIFY2(fs::exists(file), file.c_str());
        QVERIFY(!fs::is_empty(home.endpointDir()));
        for (const auto& socket : {home.endpointSocket(), home.bridgeSocket()})
            QCOMPARE(int(fs::status(socket).permissions()), 0600);
        everythingIsThePersons();
        // The folder that the bind has made is the person's too.
        QCOMPARE(m_slipway->shell("stat -c %U made").out, m_user->name() + "\n");
    }

    void bindsOnlyWhatThePersonMayRead()
    {
        Output secret = readIn(rootsFolder("secret", 0700, 0));
        QVERIFY(secret.exitCode != 0);
        QVERIFY2(secret.err.find("secret: user " + m_user->name() + " may not read it") !=
                     std::string::npos,
                 secret.err.c_str());
        // Root's own groups open nothing, the person's do.
        QVERIFY(readIn(rootsFolder("group-of-root", 0750, 0)).exitCode != 0);
        gid_t games = 60;  // Debian's, base-passwd.
        Output shared = readIn(rootsFolder("group-of-theirs", 0750, games));
        QVERIFY2(shared.out == "group-of-theirs\n", shared.err.c_str());
    }

    void isRootsToStartAgainAndSaysSo()
    {
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        for (const char* command : {"start", "reset --yes", "uninstall --yes"}) {
            Output refused = plain(command);
            QCOMPARE(refused.exitCode, 1);
            QVERIFY2(
                refused.err.find("is root's, as it was started with sudo") != std::string::npos,
                refused.err.c_str());
        }
        QVERIFY(m_slipway->start());
    }

    void isRootsToStopOnceTheBridgeHasDied()
    {
        pid_t machine = m_slipway->machinePid();
        pid_t bridge = m_slipway->bridgePid();
        QVERIFY(bridge > 0);
        QCOMPARE(::kill(bridge, SIGKILL), 0);
        QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
        Output refused = plain("stop");
        QVERIFY(refused.exitCode != 0);
        QVERIFY2(refused.err.find("use sudo") != std::string::npos, refused.err.c_str());
        QCOMPARE(m_slipway->machinePid(), machine);
        Output stopped = m_slipway->slipway({"stop"});
        QVERIFY2(stopped.exitCode == 0, stopped.err.c_str());
        nothingIsLeft();
        everythingIsThePersons();
    }

    void uninstallsWithSudo()
    {
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!fs::exists(m_slipway->home().root));
        QVERIFY(!fs::exists(m_user->home() / ".docker"));
        nothingIsLeft();
        m_slipway.reset();
    }

    void uninstallsWithoutSudoWhileItRuns()
    {
        Output uninstalled = plain("uninstall --yes");
        QVERIFY2(uninstalled.exitCode == 0, uninstalled.err.c_str());
        QVERIFY(!fs::exists(m_slipway->home().root));
        QVERIFY(!fs::exists(m_user->home() / ".docker"));
        nothingIsLeft();
        m_slipway.reset();
    }

    void aMachineOfThePersonsOwnIsNotStartedAsRoot()
    {
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        Output own = plain("start");
        QVERIFY2(own.exitCode == 0, own.err.c_str());
        QCOMPARE(plain("stop").exitCode, 0);
        Output refused = m_slipway->slipway({"start"});
        QCOMPARE(refused.exitCode, 1);
        QVERIFY2(refused.err.find("was started without sudo") != std::string::npos,
                 refused.err.c_str());
        everythingIsThePersons();
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        nothingIsLeft();
        m_slipway.reset();
    }
};

QTEST_GUILESS_MAIN(TestSudo)
#include "tst_sudo.moc"
