// Child processes: what they inherit, what they answer, how they end.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <QTest>
#include <QTemporaryDir>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/process/child.h"
#include "shared/process/process_facts.h"

using namespace slipway;
using namespace std::chrono_literals;

namespace {

Command shell(const std::string& script)
{
    Command command;
    command.program = "sh";
    command.args = {"-c", script};
    return command;
}

std::string outOf(const Command& command)
{
    auto out = outputOf(command, 10s);
    return out ? *out : "error: " + out.error().message;
}

}  // namespace

class TestChild : public QObject {
    Q_OBJECT
private slots:
    void keepsItsTwoOutputsAndItsExitCodeApart()
    {
        auto output = run(shell("echo out; echo err >&2; exit 7"), 10s);
        QVERIFY(output.has_value());
        QCOMPARE(output->exitCode, 7);
        QCOMPARE(output->out, std::string("out\n"));
        QCOMPARE(output->err, std::string("err\n"));
    }

    void quotesWhatAFailedToolWrote()
    {
        auto out = outputOf(shell("echo no such link >&2; exit 1"), 10s);
        QVERIFY(!out);
        QVERIFY(QString::fromStdString(out.error().message).endsWith("exit code 1: no such link"));
    }

    void givesAndTakesMoreThanAPipeHolds()
    {
        auto command = shell("cat; head -c 3000000 /dev/zero");
        command.input = std::string(kMaxInputBytes, 'x');
        QCOMPARE(outOf(command).size(), kMaxInputBytes + 3000000);
    }

    void inheritsNothingButWhatIsNamed()
    {
        int leaky = ::open("/dev/null", O_RDONLY);  // No close-on-exec, as a library may leave it.
        QVERIFY(leaky >= 0);
        Command command;
        command.program = "ls";
        command.args = {"/proc/self/fd"};
        QCOMPARE(outOf(command), std::string("0\n1\n2\n3\n"));  // 3 is the folder it lists.
        ::close(leaky);
    }

    void findsPassedDescriptorsUnderTheirNumbers_data()
    {
        QTest::addColumn<int>("first");
        QTest::addColumn<int>("second");
        QTest::newRow("low numbers, where Boost's pipe would be") << 3 << 4;
        QTest::newRow("swapped") << 4 << 3;
        QTest::newRow("far up") << 9 << 8;
    }
    void findsPassedDescriptorsUnderTheirNumbers()
    {
        QFETCH(int, first);
        QFETCH(int, second);
        QTemporaryDir dir;
        auto file = [&dir](const char* name) {
            auto path = dir.filePath(name).toStdString();
            std::ofstream(path) << name;
            return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        };
        auto a = file("a");
        auto b = file("b");
        auto command =
            shell("cat <&" + std::to_string(first) + "; cat <&" + std::to_string(second));
        command.fds = {{a.get(), first}, {b.get(), second}};
        QCOMPARE(outOf(command), std::string("ab"));
    }

    void findsOurOwnNumbersSwapped()
    {
        int ends[2];
        QVERIFY(::pipe2(ends, O_CLOEXEC) == 0);
        auto command = shell("echo through >&" + std::to_string(ends[0]));
        command.fds = {{ends[1], ends[0]}, {ends[0], ends[1]}};
        QCOMPARE(outOf(command), std::string());
        char buffer[16]{};
        QCOMPARE(::read(ends[0], buffer, sizeof buffer), ssize_t(8));
        ::close(ends[0]);
        ::close(ends[1]);
    }

    void setsEnvironmentFolderAndSession()
    {
        auto command = shell("env | sort; pwd; [ $(ps -o sid= -p $$) = $$ ] && echo leader");
        command.environment =
            std::map<std::string, std::string>{{"A", "1"}, {"PATH", "/usr/bin:/bin"}};
        command.workDir = "/usr";
        command.newSession = true;
        QCOMPARE(outOf(command), std::string("A=1\nPATH=/usr/bin:/bin\nPWD=/usr\n/usr\nleader\n"));
    }

    void startsWithNoSignalIgnoredOrBlocked()
    {
        auto old = ::signal(SIGPIPE, SIG_IGN);
        sigset_t set, oldSet;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, &oldSet);
        auto out = outOf(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"));
        sigprocmask(SIG_SETMASK, &oldSet, nullptr);
        ::signal(SIGPIPE, old);
        QCOMPARE(out, std::string("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    }

    void appendsToALog()
    {
        QTemporaryDir dir;
        auto log = dir.filePath("x.log").toStdString();
        for (const char* word : {"one", "two"}) {
            auto command = shell(std::string("echo ") + word + "; echo err >&2");
            command.out = std::filesystem::path(log);
            command.err = std::filesystem::path(log);
            auto child = Child::start(command);
            QVERIFY(child.has_value());
            QCOMPARE(child->wait(), 0);
        }
        std::ifstream in(log);
        std::string all((std::istreambuf_iterator<char>(in)), {});
        QCOMPARE(all, std::string("one\nerr\ntwo\nerr\n"));
    }

    void namesWhatCouldNotStart_data()
    {
        QTest::addColumn<QString>("program");
        QTest::addColumn<QString>("folder");
        QTest::addColumn<QString>("cgroup");
        QTest::addColumn<QString>("message");
        QTest::newRow("not in PATH")
            << "no-such-tool"
            << ""
            << ""
            << "start no-such-tool: no-such-tool is not in PATH; install it";
        QTest::newRow("not there") << "/no/such"
                                   << ""
                                   << ""
                                   << "start /no/such: exec: No such file or directory";
        QTest::newRow("not a program") << "/etc/passwd"
                                       << ""
                                       << ""
                                       << "start /etc/passwd: exec: Permission denied";
        QTest::newRow("folder") << "/bin/true"
                                << "/no/such"
                                << ""
                                << "start /bin/true: enter /no/such: No such file or directory";
        QTest::newRow("cgroup")
            << "/bin/true"
            << ""
            << "/no/such"
            << "start /bin/true: open /no/such/cgroup.procs: No such file or directory";
    }
    void namesWhatCouldNotStart()
    {
        QFETCH(QString, program);
        QFETCH(QString, folder);
        QFETCH(QString, cgroup);
        Command command;
        command.program = program.toStdString();
        command.workDir = folder.toStdString();
        if (!cgroup.isEmpty()) command.cgroups = {cgroup.toStdString()};
        auto child = Child::start(command);
        QVERIFY(!child);
        QTEST(QString::fromStdString(child.error().message), "message");
    }

    void leavesNoZombieOfAFailedStart()
    {
        Command command;
        command.program = "/etc/passwd";
        for (int i = 0; i < 20; ++i) QVERIFY(!Child::start(command));
        QCOMPARE(::waitpid(-1, nullptr, WNOHANG), -1);
        QCOMPARE(errno, ECHILD);
    }

    void killsAToolThatTakesTooLong()
    {
        auto output = run(shell("exec sleep 100"), 50ms);
        QVERIFY(!output);
        QCOMPARE(output.error().code, Code::DeadlineExceeded);
    }

    void doesNotWaitForAGrandchildThatKeepsThePipe()
    {
        auto output = run(shell("sleep 100 & echo $!"), 5s);
        QVERIFY(output.has_value());
        QCOMPARE(::kill(std::stoi(output->out), SIGKILL), 0);
    }

    void tellsTheLoopOfTheEnd()
    {
        Loop loop;
        auto child = Child::start(shell("kill -TERM $$"));
        QVERIFY(child.has_value());
        int exitCode = -1;
        child->onExit(loop, [&](int code) {
            exitCode = code;
            loop.stop();
        });
        loop.run();
        QCOMPARE(exitCode, 128 + SIGTERM);
    }

    void handsOutLinesAsTheyCome()
    {
        Loop loop;
        QTemporaryDir dir;
        auto gate = dir.filePath("gate").toStdString();
        std::vector<std::string> lines;
        // The second line comes only after the first has been seen here.
        auto tool = startRun(
            loop, shell("echo one; until [ -e " + gate + " ]; do sleep 0.01; done; echo two"), 10s,
            [&](Result<Output>) { loop.stop(); },
            [&](const std::string& line) {
                lines.push_back(line);
                std::ofstream(gate) << "open";
            });
        loop.run();
        QCOMPARE(lines, (std::vector<std::string>{"one", "two"}));
    }

    void dropsAndReapsAToolNobodyWaitsFor()
    {
        {
            Loop loop;
            auto tool = startRun(loop, shell("exec sleep 100"), 10s,
                                 [](Result<Output>) { QFAIL("called"); });
            tool.reset();
        }
        QCOMPARE(::waitpid(-1, nullptr, WNOHANG), -1);
    }

    // Whoever started it was killed: so is it, though nobody is left to do so.
    void diesWithItsStarter()
    {
        int ends[2];
        QCOMPARE(::pipe2(ends, O_CLOEXEC), 0);
        pid_t starter = ::fork();
        if (starter == 0) {
            auto command = shell("exec sleep 100");
            command.diesWithUs = true;
            auto child = Child::start(command);
            pid_t pid = child ? child->pid() : 0;
            if (::write(ends[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
            ::raise(SIGKILL);
        }
        pid_t pid = 0;
        QCOMPARE(::read(ends[0], &pid, sizeof pid), ssize_t{sizeof pid});
        QVERIFY(pid > 0);
        QCOMPARE(::waitpid(starter, nullptr, 0), starter);
        QTRY_VERIFY(!isRunning(pid));
        ::close(ends[0]);
        ::close(ends[1]);
    }

    void neverCallsBackBeforeItReturns()
    {
        Loop loop;
        Command command;
        command.program = "/no/such";
        bool called = false;
        auto tool = startRun(loop, command, 1s, [&](Result<Output> output) {
            QVERIFY(!output);
            called = true;
            loop.stop();
        });
        QVERIFY(!called);
        loop.run();
        QVERIFY(called);
    }
};

QTEST_GUILESS_MAIN(TestChild)
#include "tst_child.moc"
