// The real command line against a fake bridge: output, exit codes and what it asks for.
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>

#include <QTemporaryDir>
#include <QTest>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/launcher/bridge_channel.h"
#include "app/launcher/bridge_process.h"
#include "shared/process/process_facts.h"
#include "shared/json/json.h"
#include "shared/paths/home.h"
#include "shared/process/child.h"
#include "tests/fakes/fake_bridge.h"

using namespace slipway;
namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kLimit{30};

std::string contentOf(const fs::path& file)
{
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

class TestSlipway : public QObject {
    Q_OBJECT

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    Home m_home;
    QTemporaryDir m_binDir;
    fs::path m_bin;  // Its path: slipway, and the fake bridge under the bridge's name.
    std::map<std::string, std::string> m_environment;

    Command slipway(std::vector<std::string> args) const
    {
        Command command;
        command.program = m_bin / "slipway";
        command.args = std::move(args);
        command.environment = m_environment;
        return command;
    }

    Output runs(std::vector<std::string> args) const
    {
        auto output = run(slipway(std::move(args)), kLimit);
        if (!output) return {-1, "", output.error().message};
        return *output;
    }

    std::unique_ptr<test::FakeBridge> bridge() const
    {
        return std::make_unique<test::FakeBridge>(m_home.bridgeSocket());
    }

    void writeMachineRecord(pid_t pid, std::uint64_t startTime) const
    {
        std::ofstream(m_home.machineFile())
            << boost::json::serialize(boost::json::object{{"pid", pid}, {"start_time", startTime}});
    }

private slots:
    void initTestCase()
    {
        m_bin = m_binDir.path().toStdString();
        fs::path built = qEnvironmentVariable("SLIPWAY_BIN").toStdString();
        fs::copy_file(built / "slipway", m_bin / "slipway");
        fs::copy_file(built.parent_path() / "tests" / "fake-bridge", m_bin / "slipway-bridge");
    }

    void init()
    {
        m_dir = std::make_unique<QTemporaryDir>();
        fs::path dir = m_dir->path().toStdString();
        m_home = Home{dir / "home"};
        fs::create_directories(m_home.runDir());
        fs::create_directories(m_home.logDir());
        m_environment = {{"SLIPWAY_HOME", m_home.root.string()},
                         {"HOME", dir.string()},
                         {"DOCKER_CONFIG", (dir / "docker").string()},
                         {"PATH", "/usr/bin:/bin"}};
        for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"})
            if (qEnvironmentVariableIsSet(name)) m_environment[name] = qgetenv(name).toStdString();
    }

    void explainsEveryCommand_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"start", "stop", "restart", "status", "logs", "endpoint", "ports",
                                 "shares", "reset", "uninstall", "version"})
            QTest::newRow(name) << name;
    }
    void explainsEveryCommand()
    {
        QFETCH(QString, name);
        auto help = runs({name.toStdString(), "--help"});
        QCOMPARE(help.exitCode, 0);
        QVERIFY2(help.out.find("Exit codes:") != std::string::npos, help.out.c_str());
    }

    void helpFitsEightyColumns()
    {
        for (const auto& line : QString::fromStdString(runs({"--help"}).out).split('\n'))
            QVERIFY2(line.size() <= 80, qPrintable(line));
    }

    void wrongUsageIsExitCode2()
    {
        QCOMPARE(runs({}).exitCode, 2);
        QCOMPARE(runs({"status", "--nonsense"}).exitCode, 2);
        QCOMPARE(runs({"logs", "dockerd"}).exitCode, 2);
        auto misspelled = runs({"stauts"});
        QCOMPARE(misspelled.exitCode, 2);
        QCOMPARE(misspelled.err,
                 std::string("slipway: no command \"stauts\"; slipway --help lists them\n"));
        auto wrong = runs({"logs", "dockerd"});
        QVERIFY2(wrong.err.starts_with("slipway logs: ") &&
                     wrong.err.ends_with("; slipway logs --help says more\n"),
                 wrong.err.c_str());
    }

    void aBrokenHomeIsSaid()
    {
        m_environment["SLIPWAY_HOME"] = "/" + std::string(120, 'x');
        auto status = runs({"status"});
        QCOMPARE(status.exitCode, 1);
        QVERIFY2(status.err.find("SLIPWAY_HOME") != std::string::npos, status.err.c_str());
    }

    void statusIsStoppedWithoutABridge()
    {
        auto status = runs({"status"});
        QCOMPARE(status.exitCode, 3);
        QVERIFY2(status.out.find("stopped\n") != std::string::npos, status.out.c_str());
    }

    void statusKnowsAMachineWhoseBridgeHasDied()
    {
        writeMachineRecord(::getpid(), *startTimeOf(::getpid()));
        auto status = runs({"status"});
        QCOMPARE(status.exitCode, 4);
        QVERIFY2(status.out.find("no bridge runs; containers go on") != std::string::npos &&
                     status.out.find("-> slipway start") != std::string::npos,
                 status.out.c_str());
    }

    void aBridgeThatDoesNotAnswerIsNoStoppedOne()
    {
        QCOMPARE(runs({"start"}).exitCode, 0);
        auto bridge = bridgeProcess(m_home);
        QVERIFY(bridge && isRunning(*bridge));
        ::kill(*bridge, SIGSTOP);
        auto status = runs({"status"});
        auto json = runs({"status", "--json"});
        auto stop = runs({"stop"});
        ::kill(*bridge, SIGCONT);
        QCOMPARE(status.exitCode, 5);
        auto pid = fmt::format("(pid {})", *bridge);
        QVERIFY2(status.out.find("trouble: the bridge " + pid + " has not answered for 5 s") !=
                         std::string::npos &&
                     status.out.find(fmt::format("kill -9 {}", *bridge)) != std::string::npos,
                 status.out.c_str());
        QCOMPARE(json.exitCode, 5);
        auto parsed = parseJson(json.out, "status");
        QVERIFY2(parsed.has_value(), json.out.c_str());
        QCOMPARE(parsed->at_pointer("/endpoint/context").as_string(), "slipway-home");
        QCOMPARE(stop.exitCode, 1);
        QVERIFY2(stop.err.find(pid) != std::string::npos, stop.err.c_str());
        QCOMPARE(runs({"stop"}).exitCode, 0);
        QVERIFY(!bridgeProcess(m_home));
    }

    // gRPC's shortest pause between attempts also limits each attempt, so that a bridge that needed
    // longer to greet was never reached.
    void aBridgeIsGivenTimeToGreet()
    {
        int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        m_home.bridgeSocket().string().copy(address.sun_path, sizeof address.sun_path - 1);
        QCOMPARE(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        QCOMPARE(::listen(listening, 1), 0);
        auto channel = bridgeChannel(m_home);
        QTRY_COMPARE(channel->GetState(true), GRPC_CHANNEL_CONNECTING);
        QVERIFY(!channel->WaitForStateChange(
            GRPC_CHANNEL_CONNECTING, std::chrono::system_clock::now() + std::chrono::seconds(1)));
        ::close(listening);
    }

    void aPidThatNowBelongsToAnotherIsNoMachine()
    {
        writeMachineRecord(::getpid(), *startTimeOf(::getpid()) + 1);
        QCOMPARE(runs({"status"}).exitCode, 3);
    }

    void statusSaysWhatTheBridgeSays()
    {
        auto fake = bridge();
        v1::State state;
        state.set_version("9.9.9");
        state.set_condition(v1::CONDITION_DEGRADED);
        state.set_reason("one port is refused");
        fake->setState(state);
        auto status = runs({"status"});
        QCOMPARE(status.exitCode, 4);
        QVERIFY2(status.out.starts_with("Slipway 9.9.9   degraded: one port is refused\n"),
                 status.out.c_str());
    }

    void jsonHasStableNames()
    {
        auto fake = bridge();
        v1::State state;
        state.set_condition(v1::CONDITION_RUNNING);
        state.mutable_engine()->set_api_version("1.45");
        state.add_ports()->set_host_port(8080);
        fake->setState(state);
        auto status = runs({"status", "--json"});
        QCOMPARE(status.exitCode, 0);
        auto parsed = parseJson(status.out, "status");
        QVERIFY2(parsed.has_value(), status.out.c_str());
        QCOMPARE(parsed->at_pointer("/condition").as_string(), "CONDITION_RUNNING");
        QCOMPARE(parsed->at_pointer("/engine/api_version").as_string(), "1.45");
        QCOMPARE(parsed->at_pointer("/endpoint/context_current").as_bool(), false);
        QCOMPARE(parsed->at_pointer("/machine/subnet").as_string(), "");
        QCOMPARE(parsed->at_pointer("/files/folders").as_array().size(), 0u);
        auto ports = parseJson(runs({"ports", "--json"}).out, "ports");
        QVERIFY(ports.has_value());
        QCOMPARE(ports->at_pointer("/0/host_port").to_number<int>(), 8080);
        QCOMPARE(ports->at_pointer("/0/refusal").as_string(), "");
        auto shares = parseJson(runs({"shares", "--json"}).out, "shares");
        QVERIFY(shares.has_value());
        QVERIFY(shares->at_pointer("/folders").is_array());
    }

    void endpointCanBeEvaluatedByAShell()
    {
        auto endpoint = runs({"endpoint"});
        QCOMPARE(endpoint.out, m_home.endpointUrl() + "\n");
        Command shell{"sh",
                      {"-c", runs({"endpoint", "--export"}).out + "printf %s \"$DOCKER_HOST\""}};
        QCOMPARE(*outputOf(shell, kLimit), m_home.endpointUrl());
    }

    void startLaunchesABridgeAndStopEndsIt()
    {
        auto start = runs({"start"});
        QVERIFY2(start.exitCode == 0, start.err.c_str());
        QVERIFY2(start.out.starts_with("running: Docker 26.1.5 at " + m_home.endpointUrl()),
                 start.out.c_str());
        QCOMPARE(runs({"status"}).exitCode, 0);
        auto again = runs({"start"});
        QVERIFY2(again.exitCode == 0, again.err.c_str());
        auto state = parseJson(runs({"status", "--json"}).out, "status");
        QVERIFY(state.has_value());
        auto pid = state->at_pointer("/processes/0/pid").to_number<pid_t>();
        QVERIFY(isRunning(pid));
        auto stop = runs({"stop"});
        QVERIFY2(stop.exitCode == 0, stop.err.c_str());
        QVERIFY(!isRunning(pid));
        QCOMPARE(runs({"status"}).exitCode, 3);
        QCOMPARE(runs({"stop"}).out, std::string("stopped already\n"));
    }

    void aBridgeThatDiesIsShownByItsLog()
    {
        m_environment["FAKE_BRIDGE_DIES"] = "always";
        auto start = runs({"start"});
        QCOMPARE(start.exitCode, 1);
        QVERIFY2(start.err.find("exit code 7") != std::string::npos &&
                     start.err.find("no machine can be had here") != std::string::npos,
                 start.err.c_str());
    }

    void aBridgeThatDiesBeforeItsLogIsShownByItsLastWords()
    {
        std::ofstream(m_home.logDir() / "bridge.log") << "of an earlier one\n";
        m_environment["FAKE_BRIDGE_DIES"] = "early";
        auto start = runs({"start"});
        QCOMPARE(start.exitCode, 1);
        QCOMPARE(
            start.err,
            std::string("slipway: the bridge has ended: make /nowhere: read-only file system\n"));
    }

    void aBridgeThatFindsTheLockStillHeldIsTriedAgain()
    {
        m_environment["FAKE_BRIDGE_DIES"] = "once";
        auto start = runs({"start"});
        QVERIFY2(start.exitCode == 0, start.err.c_str());
        QCOMPARE(runs({"stop"}).exitCode, 0);
    }

    void aMissingBridgeIsNamed()
    {
        fs::rename(m_bin / "slipway-bridge", m_bin / "away");
        auto start = runs({"start"});
        fs::rename(m_bin / "away", m_bin / "slipway-bridge");
        QCOMPARE(start.exitCode, 1);
        QVERIFY2(start.err.find((m_bin / "slipway-bridge").string()) != std::string::npos,
                 start.err.c_str());
    }

    void aFailureIsPassedOn()
    {
        auto fake = bridge();
        fake->failCallsWith({grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"});
        auto start = runs({"start"});
        QCOMPARE(start.exitCode, 1);
        QCOMPARE(start.err, std::string("slipway: start: the disk is full\n"));
    }

    void stopClearsAMachineWhoseBridgeHasDied()
    {
        writeMachineRecord(::getpid(), 1);
        auto stop = runs({"stop"});
        QVERIFY2(stop.exitCode == 0, stop.err.c_str());
        QVERIFY2(stop.out.starts_with("stopped ("), stop.out.c_str());
    }

    void stopAdmitsAMachineThatGoesOn()
    {
        writeMachineRecord(::getpid(), *startTimeOf(::getpid()));
        auto stop = runs({"stop"});
        QCOMPARE(stop.exitCode, 1);
        QVERIFY2(stop.err.find("goes on") != std::string::npos, stop.err.c_str());
    }

    void resetAsksBeforeItDeletes()
    {
        auto fake = bridge();
        auto refused = runs({"reset"});
        QCOMPARE(refused.exitCode, 1);
        QVERIFY2(refused.err.find("slipway reset --yes") != std::string::npos, refused.err.c_str());
        QVERIFY(fake->calls().empty());
        QCOMPARE(runs({"reset", "--yes"}).exitCode, 0);
        QCOMPARE(fake->calls(), std::vector<std::string>{"Reset"});
    }

    void aTypedNoChangesNothing_data()
    {
        QTest::addColumn<QString>("answer");
        QTest::addColumn<bool>("deletes");
        QTest::newRow("no") << "n" << false;
        QTest::newRow("nothing") << "" << false;
        QTest::newRow("yes") << "y" << true;
    }
    void aTypedNoChangesNothing()
    {
        QFETCH(QString, answer);
        QFETCH(bool, deletes);
        auto fake = bridge();
        Command terminal{"script", {"-qec", (m_bin / "slipway").string() + " reset", "/dev/null"}};
        terminal.environment = m_environment;
        terminal.input = answer.toStdString() + "\n";
        auto output = run(terminal, kLimit);
        QVERIFY(output.has_value());
        QCOMPARE(output->exitCode, deletes ? 0 : 1);
        QCOMPARE(fake->calls().size(), deletes ? 1u : 0u);
    }

    void uninstallLeavesNothingOfItsOwnAndAllOfOthers()
    {
        QCOMPARE(runs({"start"}).exitCode, 0);
        fs::create_directories(m_home.machineDir() / "data");
        std::ofstream(m_home.root / "notes.txt") << "mine";
        fs::path autostart =
            fs::path(m_environment["HOME"]) / ".config/autostart/slipway-home.desktop";
        fs::create_directories(autostart.parent_path());
        std::ofstream(autostart) << "[Desktop Entry]\n";
        auto uninstall = runs({"uninstall", "--yes"});
        QVERIFY2(uninstall.exitCode == 0, uninstall.err.c_str());
        QVERIFY(!fs::exists(autostart));
        QCOMPARE(contentOf(m_home.root / "notes.txt"), std::string("mine"));
        QCOMPARE(std::distance(fs::directory_iterator(m_home.root), {}), 1);
    }

    void logsAreMergedByTime()
    {
        std::ofstream(m_home.logDir() / "bridge.log") << "2026-11-01T10:00:00.000Z info first\n"
                                                         "2026-11-01T10:00:03.000Z info fourth\n";
        std::ofstream(m_home.logDir() / "agent.log")
            << "2026-11-01T10:00:01.000Z info second\n  and its rest\n";
        std::ofstream(m_home.logDir() / "engine.log")
            << "time=\"2026-11-01T10:00:02.123456789Z\" level=info msg=third\n";
        QCOMPARE(
            runs({"logs"}).out,
            std::string("bridge | 2026-11-01T10:00:00.000Z info first\n"
                        "agent  | 2026-11-01T10:00:01.000Z info second\n"
                        "agent  |   and its rest\n"
                        "engine | time=\"2026-11-01T10:00:02.123456789Z\" level=info msg=third\n"
                        "bridge | 2026-11-01T10:00:03.000Z info fourth\n"));
        QCOMPARE(runs({"logs", "-n", "1", "bridge"}).out,
                 std::string("2026-11-01T10:00:03.000Z info fourth\n"));
    }

    void logsFollowOverARotation()
    {
        fs::path log = m_home.logDir() / "bridge.log";
        std::ofstream(log) << "one\n";
        fs::path out = m_home.root / "out";
        auto command = slipway({"logs", "-f", "bridge"});
        command.out = out;
        auto child = Child::start(command);
        QVERIFY(child.has_value());
        QTRY_COMPARE(contentOf(out), std::string("one\n"));
        std::ofstream(log, std::ios::app) << "two\n";
        fs::rename(log, m_home.logDir() / "bridge.1.log");
        std::ofstream(log) << "three and a much longer line than before\n";
        QTRY_COMPARE(contentOf(out),
                     std::string("one\ntwo\nthree and a much longer line than before\n"));
        child->terminate();
        QCOMPARE(child->wait(), 128 + SIGTERM);
    }
};

QTEST_GUILESS_MAIN(TestSlipway)
#include "tst_slipway.moc"
