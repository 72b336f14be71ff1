// A machine of namespaces on this host: what it is made of, how it ends, and that nothing of it is
// left. Most tests put busybox and a shell script in the agent's place; the last ones drive the
// real agent through the bridge's Machine.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <QTemporaryDir>
#include <QTest>
#include <fmt/format.h>

#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "shared/process/child.h"
#include "tests/support/run_until.h"
#include "tests/support/slipway_fixture.h"
#include "tests/support/test_user.h"
#include "wsl-bridge/machine/machine.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/names.h"

using namespace slipway;
using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr const char* kName = "slipway-test";

fs::path binDir()
{
    return qEnvironmentVariable("SLIPWAY_BIN").toStdString();
}

bool waitFor(const std::function<bool()>& condition)
{
    Loop loop;
    return test::runUntil(loop, condition, 10s);
}

std::string output(std::vector<std::string> words, std::string input = "")
{
    Command command;
    command.program = words.front();
    command.args.assign(words.begin() + 1, words.end());
    command.input = std::move(input);
    auto out = outputOf(command, 60s);
    return out ? *out : "error: " + out.error().message;
}

// A home, a root file system of busybox, and a bin folder with an agent that is a shell script.
class World {
public:
    // `user`: who starts it; empty: root.
    explicit World(const std::string& agent, const std::string& user = "")
    {
        if (!user.empty()) m_as = {"setpriv", "--reuid", user, "--regid", user, "--init-groups"};
        for (const char* folder : {"home/run", "root/usr", "root/bin", "bin"}) {
            fs::create_directories(path(folder));
        }
        fs::copy_file("/bin/busybox", path("root/bin/busybox"));
        for (const char* applet :
             {"sh", "sleep", "head", "od", "cat", "ls", "ip", "hostname", "kill"}) {
            fs::create_symlink("busybox", path("root/bin") / applet);
        }
        fs::copy_file(binDir() / "slipway-init", path("bin/slipway-init"));
        std::ofstream(path("bin/slipway-agent")) << "#!/bin/sh\n" << agent;
        fs::permissions(path("bin/slipway-agent"), fs::perms::owner_all);
        if (!user.empty()) output({"chown", "-R", user + ":", m_dir.path().toStdString()});
    }
    ~World() { clean(); }

    fs::path path(const std::string& below) const
    {
        return fs::path(m_dir.path().toStdString()) / below;
    }
    fs::path home() const { return path("home"); }
    MachineNames names() const { return machineNames(kName, home()); }

    // Its PID 1; 0 if it did not start, which `said` then explains.
    pid_t start(const std::string& files = "direct")
    {
        said = sandbox({"start", "--name", kName, "--home", home().string(), "--root",
                        path("root").string(), "--bin", path("bin").string(), "--files", files},
                       std::string(32, 'x'));
        if (said.starts_with("error")) return 0;
        record = json::parse(said).as_object();
        return record["pid"].to_number<pid_t>();
    }

    std::string clean() { return sandbox({"clean", "--name", kName, "--home", home().string()}); }

    std::string log() const { return readText(home() / "logs/agent.log"); }
    bool logHas(const std::string& text) const { return log().find(text) != std::string::npos; }

    // Everything on the host that carries the machine's names.
    std::vector<std::string> leftOvers() const
    {
        std::vector<std::string> found;
        for (const auto& hierarchy : cgroupHierarchies(mountsOfThisProcess())) {
            if (fs::exists(hierarchy.point / names().cgroup))
                found.push_back(hierarchy.point.string());
        }
        for (const auto& mount : mountsOfThisProcess()) {
            if (mount.point.string().starts_with(path("").string())) found.push_back(mount.point);
        }
        if (fs::exists("/sys/class/net/" + names().link)) found.push_back(names().link);
        if (output({"nft", "list", "tables"}).find(names().nftTable) != std::string::npos) {
            found.push_back(names().nftTable);
        }
        if (fs::exists(home() / "run/machine.json")) found.push_back("machine.json");
        return found;
    }

    std::string said;
    json::object record;

private:
    std::string sandbox(const std::vector<std::string>& args, std::string input = "") const
    {
        auto words = m_as;
        words.push_back((binDir() / "slipway-sandbox").string());
        words.insert(words.end(), args.begin(), args.end());
        return output(std::move(words), std::move(input));
    }

    QTemporaryDir m_dir;
    std::vector<std::string> m_as;
};

const std::string kWaitingAgent =
    "echo agent $* token $(head -c 32)\n"
    "trap 'echo agent ends; exit 3' TERM\n"
    "while :; do sleep 1000 & wait $!; done\n";

// Our child by CLONE_PARENT.
int reap(pid_t pid)
{
    int status = 0;
    return ::waitpid(pid, &status, 0) == pid ? status : -1;
}

std::string inMachine(pid_t pid, const std::string& script)
{
    return output({"nsenter", "-t", std::to_string(pid), "-m", "-u", "-n", "-p", "-i", "/bin/sh",
                   "-c", "export PATH=/bin; " + script});
}

}  // namespace

class TestSandbox : public QObject {
    Q_OBJECT
private slots:
    void initTestCase()
    {
        if (auto why = test::whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
    }

    void isAMachineOfItsOwn()
    {
        World world(kWaitingAgent);
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        auto subnet = std::string(world.record["subnet"].as_string());
        QVERIFY(waitFor([&] {
            return world.logHas(fmt::format("agent --files direct --network {} token {}", subnet,
                                            std::string(32, 'x')));
        }));
        QCOMPARE(inMachine(pid, "hostname"), std::string(kName) + "\n");
        QVERIFY(inMachine(pid, "ls /").find("work") == std::string::npos);
        QVERIFY(inMachine(pid, "cat /mnt/host" + (world.home() / "run/machine.json").string())
                    .find("start_time") != std::string::npos);
        auto route = inMachine(pid, "ip route");
        QVERIFY2(route.find("default via") != std::string::npos &&
                     route.find(subnet) != std::string::npos,
                 route.c_str());
        // runc takes the first cgroup mount it finds: none of the host's may be in sight.
        for (const auto& mount : parseMountInfo(inMachine(pid, "cat /proc/1/mountinfo"))) {
            QVERIFY2(!mount.point.string().starts_with("/mnt/host") || mount.type != "cgroup",
                     mount.point.c_str());
        }
        QVERIFY(readText("/proc/" + std::to_string(pid) + "/cgroup").find(world.names().cgroup) !=
                std::string::npos);
    }

    void endsOnSigtermAndLeavesNothing()
    {
        World world(kWaitingAgent);
        auto forwarding = readText("/proc/sys/net/ipv4/ip_forward");
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(world.leftOvers().size() > 2);  // What is counted below is there to be counted.
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        ::kill(pid, SIGTERM);
        QCOMPARE(reap(pid), 0);
        QVERIFY(world.logHas("agent ends"));
        QVERIFY(!world.clean().empty());
        QCOMPARE(world.leftOvers(), std::vector<std::string>());
        QCOMPARE(world.clean(), std::string());
        bool others = output({"nft", "list", "tables"}).find("slipway_") != std::string::npos;
        if (!others) QCOMPARE(readText("/proc/sys/net/ipv4/ip_forward"), forwarding);
    }

    void leavesNothingWhenInitIsKilled()
    {
        World world("(trap '' TERM; sleep 1000) &\n" + kWaitingAgent);
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        ::kill(pid, SIGKILL);
        reap(pid);
        world.clean();
        QCOMPARE(world.leftOvers(), std::vector<std::string>());
    }

    // Whichever of the two versions is there can freeze, and where both are there, both.
    void cleanKillsAMachineWhoseProcessesAreFrozen_data()
    {
        QTest::addColumn<QString>("point");
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("value");
        for (const auto& hierarchy : cgroupHierarchies(mountsOfThisProcess())) {
            auto point = QString::fromStdString(hierarchy.point.string());
            if (hierarchy.version == 2)
                QTest::newRow("version 2") << point << "cgroup.freeze"
                                           << "1";
            else if (hierarchy.controllers == "freezer")
                QTest::newRow("version 1") << point << "freezer.state"
                                           << "FROZEN";
        }
    }
    void cleanKillsAMachineWhoseProcessesAreFrozen()
    {
        QFETCH(QString, point);
        QFETCH(QString, file);
        QFETCH(QString, value);
        World world(kWaitingAgent);
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        auto group = fs::path(point.toStdString()) / world.names().cgroup;
        QVERIFY(writeText(group / file.toStdString(), value.toStdString()).has_value());
        ::kill(pid, SIGKILL);
        auto before = std::chrono::steady_clock::now();
        world.clean();
        QVERIFY(std::chrono::steady_clock::now() - before < 3s);
        reap(pid);
        QCOMPARE(world.leftOvers(), std::vector<std::string>());
    }

    void startsTheAgentAgainWithTheSameToken()
    {
        World world(
            "echo agent has $(head -c 32)\n"
            "[ -e /run/second ] && { sleep 1000; exit 0; }\n: > /run/second; exit 7\n");
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        auto line = "agent has " + std::string(32, 'x');
        QVERIFY(waitFor([&] {
            std::string log = world.log();  // Read once: it grows meanwhile.
            return log.rfind(line) != log.find(line);
        }));
        QVERIFY(world.logHas("exit code 7"));
    }

    void endsWhenTheAgentAsksForPowerOff()
    {
        World world("exit 0\n");
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QCOMPARE(reap(pid), 0);
        QVERIFY(world.logHas("asked for power-off"));
    }

    void reapsOrphans()
    {
        World world("(sleep 0 & echo orphan) \n" + kWaitingAgent);
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        QVERIFY(waitFor([&] {
            return inMachine(pid, "cat /proc/[0-9]*/stat").find(" Z ") == std::string::npos;
        }));
    }

    void mountsTheFuseShareAndAbortsItAtTheEnd()
    {
        if (auto why = test::whyNoSlipway({"fuse"}); !why.empty()) QSKIP(why.c_str());
        // This process asks the share, and nobody ever answers.
        World world("ls /mnt/host/x &\necho agent $* $(ls -l /proc/self/fd/3)\n" + kWaitingAgent);
        pid_t pid = world.start("fuse");
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        QVERIFY(world.logHas("agent --files fuse --network 10."));
        QVERIFY(world.logHas(" --fuse-fd 3 "));
        QVERIFY(world.logHas("/dev/fuse"));
        ::kill(pid, SIGTERM);
        QCOMPARE(reap(pid), 0);
    }

    void namesWhatIsMissing_data()
    {
        QTest::addColumn<QString>("missing");
        QTest::addColumn<QString>("message");
        QTest::newRow("root file system") << "root"
                                          << "root file system ";
        QTest::newRow("init") << "bin/slipway-init"
                              << "run /usr/lib/slipway/slipway-init";
        QTest::newRow("run folder") << "home/run"
                                    << "make ";
    }
    void namesWhatIsMissing()
    {
        QFETCH(QString, missing);
        QFETCH(QString, message);
        World world(kWaitingAgent);
        fs::remove_all(world.path(missing.toStdString()));
        if (missing == "home/run") std::ofstream(world.path("home/run")) << "a file in its place";
        QCOMPARE(world.start(), 0);
        QVERIFY2(QString::fromStdString(world.said).contains(message), world.said.c_str());
        world.clean();
        QCOMPARE(world.leftOvers(), std::vector<std::string>());
    }

    void aUserHasAMachineWithoutRoot()
    {
        auto user = slipway::test::TestUser::make();
        QVERIFY2(user.has_value(), user ? "" : user.error().message.c_str());
        if (auto why = test::whyNoSlipwayOf(**user); !why.empty()) QSKIP(why.c_str());
        World world(kWaitingAgent, (*user)->name());
        pid_t pid = world.start();
        QVERIFY2(pid > 0, world.said.c_str());
        QVERIFY(world.record["rootless"].as_bool());
        QVERIFY(waitFor([&] { return world.logHas("token"); }));
        auto map = readText("/proc/" + std::to_string(pid) + "/uid_map");
        QCOMPARE(std::count(map.begin(), map.end(), '\n'), 2);
        QVERIFY(readText("/proc/" + std::to_string(pid) + "/status").find("Uid:\t0\t") ==
                std::string::npos);
        ::kill(pid, SIGTERM);
        QCOMPARE(reap(pid), 0);
        world.clean();
        QCOMPARE(world.leftOvers(), std::vector<std::string>());
    }

    void unpacksAndRemovesARoot()
    {
        World world(kWaitingAgent);
        auto tool = (binDir() / "slipway-sandbox").string();
        auto archive = world.path("root.tar.zst").string();
        output({"tar", "--zstd", "-cf", archive, "-C", world.path("root").string(), "."});
        auto folder = world.path("unpacked").string();
        QVERIFY(!output({tool, "unpack", archive, folder}).starts_with("error"));
        QVERIFY(fs::exists(folder + "/bin/busybox") && !fs::exists(folder + ".partial"));
        QCOMPARE(output({tool, "remove", folder}), std::string());
        QVERIFY(!fs::exists(folder));
        std::ofstream(archive) << "no archive";
        QVERIFY(output({tool, "unpack", archive, folder}).find("unpack " + archive) !=
                std::string::npos);
        QVERIFY(!fs::exists(folder) && !fs::exists(folder + ".partial"));
    }

    void theBridgeStartsAdoptsAndStopsIt()
    {
        fs::path rootfs = qEnvironmentVariable("SLIPWAY_ROOTFS").toStdString();
        World world("");
        Home home{world.home()};
        Loop loop;
        auto machine = sandboxMachine(loop, {home, binDir()});
        std::optional<Result<>> done;
        auto finish = [&](Result<> result) { done = std::move(result); };
        auto succeeded = [&] {
            if (!test::runUntil(
                    loop, [&] { return done.has_value(); }, 60s))
                return false;
            auto result = *std::exchange(done, std::nullopt);
            if (!result) qWarning("%s", result.error().message.c_str());
            return result.has_value();
        };
        machine->start({FilesMode::Direct, rootfs}, {}, finish);
        QVERIFY(succeeded());
        QCOMPARE(machine->state(), Machine::State::Running);
        auto pid = machine->facts().pid;
        QVERIFY(machine->facts().memoryBytes > 0);
        QCOMPARE(fs::status(home.tokenFile()).permissions(), fs::perms(0600));

        machine = sandboxMachine(loop, {home, binDir()});
        machine->adopt(finish);
        QVERIFY(succeeded());
        QCOMPARE(machine->facts().pid, pid);

        bool died = false;
        machine->onDeath([&] { died = true; });
        ::kill(pid, SIGKILL);
        QVERIFY(test::runUntil(
            loop, [&] { return died; }, 10s));
        QCOMPARE(machine->state(), Machine::State::Stopped);
        machine->adopt(finish);
        QVERIFY(!succeeded());

        machine->start({FilesMode::Direct, rootfs}, {}, finish);
        QVERIFY(succeeded());
        machine->stop(20s, finish);
        QVERIFY(succeeded());
        QCOMPARE(output({(binDir() / "slipway-sandbox").string(), "clean", "--name",
                         home.instanceName(), "--home", home.root.string()}),
                 std::string());
        machine->remove(finish);
        QVERIFY(succeeded());
        QVERIFY(!fs::exists(home.machineDir()));
    }
};

QTEST_GUILESS_MAIN(TestSandbox)
#include "tst_sandbox.moc"
