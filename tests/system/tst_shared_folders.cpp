// Host folders that several containers have at once, and what becomes of them when the host takes a
// folder away and brings it back. Both ways of sharing.
#include <fstream>
#include <map>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/files/file_calls.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// A container that makes system calls in /s as it is told (tests/support/files/posix_script.h).
class Teller {
public:
    Teller(const SlipwayFixture& slipway, const std::string& name, const std::string& bind)
    {
        int in[2] = {-1, -1}, out[2] = {-1, -1};
        if (::pipe2(in, O_CLOEXEC) < 0 || ::pipe2(out, O_CLOEXEC) < 0) return;
        Descriptor theirInput(in[0]), theirOutput(out[1]);
        m_to.reset(in[1]);
        m_from.reset(out[0]);
        Command command;
        command.program = qEnvironmentVariable("SLIPWAY_CLI").toStdString() + "/docker";
        command.args = {"run",
                        "-i",
                        "--rm",
                        "--name",
                        name,
                        "-v",
                        bind + ":/s",
                        "-v",
                        (slipway.workDir() / "posix-script").string() + ":/posix-script:ro",
                        "-w",
                        "/s",
                        "box",
                        "/posix-script"};
        command.environment = slipway.environment();
        command.input = theirInput.get();
        command.out = theirOutput.get();
        command.err = Inherit{};
        command.diesWithUs = true;
        if (auto child = Child::start(command)) m_child.emplace(std::move(*child));
    }
    ~Teller() { end(); }

    std::string says(const std::string& script)
    {
        std::string line = script + "\n";
        if (::write(m_to.get(), line.data(), line.size()) < 0) return "no container";
        std::string answer;
        for (;;) {
            pollfd from{m_from.get(), POLLIN, 0};
            char letter = 0;
            if (::poll(&from, 1, 30'000) <= 0) return answer + " (no answer)";
            if (::read(m_from.get(), &letter, 1) <= 0) return answer + " (it has ended)";
            if (letter == '\n') return answer;
            answer += letter;
        }
    }
    void end()
    {
        m_to.reset();
        if (m_child) m_child->wait();
        m_child.reset();
    }

private:
    Descriptor m_to, m_from;
    std::optional<Child> m_child;
};

}  // namespace

class TestSharedFolders : public QObject {
    Q_OBJECT

    std::map<std::string, std::unique_ptr<SlipwayFixture>> m_slipways;
    SlipwayFixture* m_slipway = nullptr;
    std::string m_mounted;  // On the host, by a test; empty: nothing.

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    fs::path work(const std::string& name) const { return m_slipway->workDir() / name; }
    std::string folder(const std::string& name) const
    {
        fs::create_directories(work(name));
        return work(name).string();
    }
    // It stays, with the folder as /s.
    void runIdle(const std::string& name, const std::string& bind)
    {
        Output run =
            docker({"run", "-d", "--name", name, "-v", bind + ":/s", "box", "sleep", "1000"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
    }
    Output in(const std::string& container, const std::string& script)
    {
        return docker({"exec", container, "sh", "-c", script});
    }

private slots:
    void initTestCase_data() { addWaysOfSharing(); }
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
    }
    void init()
    {
        QFETCH_GLOBAL(std::string, files);
        if (files == "fuse")
            if (auto why = whyNoSlipway({"fuse"}); !why.empty()) QSKIP(why.c_str());
        auto& slipway = m_slipways[files];
        m_slipway = slipway.get();
        if (m_slipway) return;
        slipway = std::make_unique<SlipwayFixture>(settingsOfTheWay());
        m_slipway = slipway.get();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        for (const char* program : {"posix-script", "watch-folder"})
            fs::copy_file(QCoreApplication::applicationDirPath().toStdString() + "/" + program,
                          work(program));
    }
    void cleanup()
    {
        if (!m_slipway) return;
        if (QTest::currentTestFailed()) m_slipway->tellLogs();
        if (!m_mounted.empty()) ::umount2(std::exchange(m_mounted, {}).c_str(), MNT_DETACH);
        m_slipway->shell("docker rm -f $(docker ps -aq)");
        for (const auto& entry : fs::directory_iterator(m_slipway->workDir()))
            if (entry.is_directory()) fs::remove_all(entry);
    }
    void cleanupTestCase() { m_slipways.clear(); }

    void recordLocksHoldBetweenContainers()
    {
        Teller one(*m_slipway, "one", folder("locks"));
        Teller two(*m_slipway, "two", folder("locks"));
        QCOMPARE(one.says("put f 0123456789; open a f rdwr; lock a wr 0 5"), "ok ok ok");
        QCOMPARE(two.says("open a f rdwr; lock a wr 4 1; lock a rd 0 1; lock a wr 5 5"),
                 "ok EAGAIN EAGAIN ok");
        QCOMPARE(one.says("lock a wr 5 1; lock a un 4 1"), "EAGAIN ok");
        QCOMPARE(two.says("lock a wr 4 1; lock a wr 3 1"), "ok EAGAIN");
        one.end();
        QCOMPARE(two.says("lock a wr 0 0"), "ok");
    }

    void locksOfAKilledContainerAreReleased()
    {
        Teller one(*m_slipway, "one", folder("killed"));
        Teller two(*m_slipway, "two", folder("killed"));
        QCOMPARE(one.says("put f x; open a f rdwr; lock a wr 0 0; open b f rd; flock b ex"),
                 "ok ok ok ok ok");
        QCOMPARE(two.says("open a f rdwr; lock a wr 0 0; flock a sh"), "ok EAGAIN EAGAIN");
        QCOMPARE(docker({"kill", "one"}).exitCode, 0);
        QVERIFY(eventually([&] { return two.says("lock a wr 0 0; flock a ex") == "ok ok"; }));
    }

    void flockHoldsBetweenContainers()
    {
        Teller one(*m_slipway, "one", folder("flock"));
        Teller two(*m_slipway, "two", folder("flock"));
        QCOMPARE(one.says("put f x; open a f rd; flock a sh"), "ok ok ok");
        QCOMPARE(two.says("open a f rd; flock a sh; flock a ex; flock a un"), "ok ok EAGAIN ok");
        QCOMPARE(one.says("flock a ex"), "ok");
        QCOMPARE(two.says("flock a sh"), "EAGAIN");
        QCOMPARE(one.says("close a"), "ok");
        QCOMPARE(two.says("flock a ex"), "ok");
    }

    void bothAppendAndNoLineIsTornOrLost()
    {
        constexpr int kLines = 2000;
        std::string bind = folder("append");
        Output both = m_slipway->shell(fmt::format(
            "for c in one two; do docker run --rm -v {}:/s box sh -c 'i=0; while [ $i -lt {} ]; do "
            "echo '$c' $i has a line of its own >>/s/log || exit 1; i=$((i+1)); done' & p=\"$p "
            "$!\"; done; for i in $p; do wait $i || exit 1; done",
            bind, kLines));
        QVERIFY2(both.exitCode == 0, both.err.c_str());
        std::map<std::string, int> next;
        std::ifstream log(work("append/log"));
        for (std::string line; std::getline(log, line);) {
            std::string who = line.substr(0, 3);
            QCOMPARE(line, fmt::format("{} {} has a line of its own", who, next[who]++));
        }
        QCOMPARE(next, (std::map<std::string, int>{{"one", kLines}, {"two", kLines}}));
    }

    void whatOneWritesInAMapTheOtherReadsInIts()
    {
        Teller one(*m_slipway, "one", folder("map"));
        Teller two(*m_slipway, "two", folder("map"));
        QCOMPARE(one.says("put f 0123456789; open a f rdwr; map a 10 shared rdwr"), "ok ok ok");
        QCOMPARE(two.says("open a f rdwr; map a 10 shared rdwr; mapped 0 10"), "ok ok 0123456789");
        QCOMPARE(one.says("mapput 2 ab"), "ok");
        QCOMPARE(two.says("mapped 0 10; cat f; mapput 8 cd"), "01ab456789 '01ab456789' ok");
        QCOMPARE(one.says("mapped 0 10; cat f; msync"), "01ab4567cd '01ab4567cd' ok");
        QCOMPARE(textIn(work("map/f")), "01ab4567cd");
    }

    void whatOneDoesTheOtherSeesAtOnce()
    {
        Teller one(*m_slipway, "one", folder("names"));
        Teller two(*m_slipway, "two", folder("names"));
        QCOMPARE(two.says("stat a size; ls ."), "ENOENT .,..");
        QCOMPARE(one.says("put a one; mkdir d 0755"), "ok ok");
        QCOMPARE(two.says("stat a size; ls .; cat a; open a a rdwr"), "3 .,..,a,d 'one' ok");
        for (int i = 0; i < 50; ++i) {
            QCOMPARE(one.says("rename a d/b"), "ok");
            QCOMPARE(two.says("stat a size; stat d/b size; ls d"), "ENOENT 3 .,..,b");
            QCOMPARE(one.says("rename d/b a"), "ok");
            QCOMPARE(two.says("stat d/b size; cat a; ls d"), "ENOENT 'one' .,..");
        }
        QCOMPARE(one.says("put a longer; chmod a 0600"), "ok ok");
        QCOMPARE(two.says("stat a size mode; pread a 0 9"), "6,0600 'longer'");
        QCOMPARE(one.says("unlink a"), "ok");
        QCOMPARE(two.says("stat a size; pread a 0 9; fstat a nlink"), "ENOENT 'longer' 0");
    }

    void whatOneDoesRaisesEventsInTheOther()
    {
        std::string bind = folder("events");
        QCOMPARE(
            docker({"run", "-d", "--name", "watcher", "-v", bind + ":/w", "-v",
                    work("watch-folder").string() + ":/watch-folder", "box", "/watch-folder", "/w"})
                .exitCode,
            0);
        auto log = [&] { return docker({"logs", "watcher"}).out; };
        QVERIFY(eventually([&] { return has(log(), "watching\n"); }));
        runIdle("worker", bind);
        QCOMPARE(in("worker", "echo x >/s/f; chmod 600 /s/f; mv /s/f /s/g; rm /s/g").exitCode, 0);
        QVERIFY(eventually([&] { return has(log(), "0x200 g\n"); }));
        // Once each, whatever is told by the host's own watches as well.
        QCOMPARE(log(), std::string("watching\n0x100 f\n0x2 f\n0x4 f\n0x40 f\n0x80 g\n0x200 g\n"));
    }

    void aFolderThatIsMadeAgainIsSeenAgain()
    {
        std::string bind = folder("again");
        fs::create_directories(work("again/sub"));
        QVERIFY(writeText(work("again/sub/f"), "before"));
        runIdle("one", bind);
        QCOMPARE(in("one", "cat /s/sub/f").out, std::string("before"));
        fs::remove_all(work("again/sub"));
        QVERIFY(eventually([&] { return in("one", "ls -d /s/sub").exitCode != 0; }));
        Output gone = in("one", "cat /s/sub/f; echo x >/s/sub/g");
        QCOMPARE(gone.err,
                 std::string("cat: can't open '/s/sub/f': No such file or directory\nsh: can't "
                             "create /s/sub/g: nonexistent directory\n"));
        fs::create_directories(work("again/sub"));
        QVERIFY(writeText(work("again/sub/f"), "after"));
        QVERIFY(eventually([&] { return in("one", "cat /s/sub/f").out == "after"; }));
        QCOMPARE(in("one", "echo x >/s/sub/g").exitCode, 0);
        QCOMPARE(textIn(work("again/sub/g")), "x\n");
    }

    // A bind is the folder that it was of, not its path.
    void aSharedFolderThatIsMadeAgainIsAnother()
    {
        std::string bind = folder("root/shared");
        QVERIFY(writeText(work("root/shared/f"), "before"));
        runIdle("one", bind);
        QCOMPARE(in("one", "cat /s/f").out, std::string("before"));
        fs::remove_all(work("root/shared"));
        QVERIFY(eventually([&] { return in("one", "cat /s/f").exitCode != 0; }));
        fs::create_directories(work("root/shared"));
        QVERIFY(writeText(work("root/shared/f"), "after"));
        Output old = in("one", "ls -A /s; cat /s/f; echo x >/s/g");
        QCOMPARE(old.out, std::string());
        QCOMPARE(old.err,
                 std::string("cat: can't open '/s/f': No such file or directory\nsh: can't create "
                             "/s/g: nonexistent directory\n"));
        Output other = docker({"run", "--rm", "-v", bind + ":/s", "box", "cat", "/s/f"});
        QVERIFY2(other.out == "after", other.err.c_str());
        Output restarted = docker({"restart", "one"});
        QVERIFY2(restarted.exitCode == 0, restarted.err.c_str());
        Output now = in("one", "cat /s/f; echo x >/s/g");
        QVERIFY2(now.out == "after", now.err.c_str());
        QCOMPARE(textIn(work("root/shared/g")), "x\n");
    }

    // With files = direct a bind has its mounts from when it was made, as everywhere.
    void aDiskThatComesAndGoesIsSeen()
    {
        QFETCH_GLOBAL(std::string, files);
        if (files != "fuse") return;
        std::string bind = folder("disks");
        fs::create_directories(work("disks/disk"));
        QVERIFY(writeText(work("disks/disk/below"), "below"));
        runIdle("one", bind);
        QCOMPARE(in("one", "cat /s/disk/below").out, std::string("below"));
        std::string disk = work("disks/disk").string();
        for (int round = 0; round < 2; ++round) {
            QCOMPARE(::mount("x", disk.c_str(), "tmpfs", 0, nullptr), 0);
            m_mounted = disk;
            QVERIFY(writeText(work("disks/disk/f"), "plugged in"));
            QVERIFY(eventually([&] { return in("one", "cat /s/disk/f").out == "plugged in"; }));
            QCOMPARE(in("one", "echo x >/s/disk/g; mkdir /s/disk/d; ls /s/disk").out,
                     std::string("d\nf\ng\n"));
            QVERIFY(!fs::exists(work("disks/disk/below")));
            QCOMPARE(::umount2(disk.c_str(), MNT_DETACH), 0);
            m_mounted.clear();
            QVERIFY(eventually([&] { return in("one", "ls /s/disk").out == "below\n"; }));
            QCOMPARE(in("one", "cat /s/disk/f").err,
                     std::string("cat: can't open '/s/disk/f': No such file or directory\n"));
        }
    }

    void aFolderThatBecomesALinkLeadsWhereTheContainersDoes()
    {
        std::string bind = folder("linked");
        fs::create_directories(work("linked/sub"));
        fs::create_directories(work("elsewhere"));
        QVERIFY(writeText(work("linked/sub/f"), "inside"));
        QVERIFY(writeText(work("elsewhere/f"), "outside"));
        runIdle("one", bind);
        QCOMPARE(in("one", "cat /s/sub/f").out, std::string("inside"));
        fs::rename(work("linked/sub"), work("linked/kept"));
        fs::create_directory_symlink(work("elsewhere"), work("linked/sub"));
        QVERIFY(eventually([&] { return in("one", "test -L /s/sub").exitCode == 0; }));
        Output led = in("one", "cat /s/sub/f; cat /s/kept/f");
        QCOMPARE(led.out, std::string("inside"));
        QCOMPARE(led.err, std::string("cat: can't open '/s/sub/f': No such file or directory\n"));
        fs::remove(work("linked/sub"));
        fs::rename(work("linked/kept"), work("linked/sub"));
        QVERIFY(eventually([&] { return in("one", "cat /s/sub/f").out == "inside"; }));
    }
};

QTEST_GUILESS_MAIN(TestSharedFolders)
#include "tst_shared_folders.moc"
