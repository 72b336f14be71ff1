// The real agent with the real engine, in a machine of its own, driven as the bridge drives it.
#include <csignal>

#include <fcntl.h>
#include <sys/socket.h>

#include <QTest>

#include "shared/io/uv_stream.h"
#include "shared/tunnel/head_socket.h"
#include "tests/support/agent/agent_machine.h"
#include "tests/support/run_until.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

namespace {

constexpr auto kStartLimit = 30s;
const std::string kHostPort = "18099";  // Claimed from the test, never bound.

auto claimOf(unsigned hostPort)
{
    return [hostPort](const v1::PortRequest& request) {
        return request.has_claim() && request.claim().host_port() == hostPort;
    };
}

auto withdrawalOf(std::uint64_t lease)
{
    return [lease](const v1::PortRequest& request) {
        return request.has_withdrawal() && request.lease() == lease;
    };
}

// What a socket says after `request`, until it ends.
std::string exchange(const Descriptor& socket, const std::string& request)
{
    ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    ::shutdown(socket.get(), SHUT_WR);
    std::string answer;
    char bytes[4096];
    timeval limit{10, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int flags = ::fcntl(socket.get(), F_GETFL);
    ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    for (ssize_t count; (count = ::recv(socket.get(), bytes, sizeof bytes, 0)) > 0;)
        answer.append(bytes, static_cast<std::size_t>(count));
    return answer;
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit)
{
    Loop loop;
    return runUntil(loop, condition, limit);
}

}  // namespace

class TestAgent : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void cleanup();
    void turnsAwayAWrongToken();
    void namesTheNoteOfABadDaemonJson();
    void carriesTheEnginesSocket();
    void failsARunWhosePortIsRefused();
    void claimsAndWithdrawsAPublishedPort();
    void keepsContainersAndPortsWhenTheEngineIsKilled();
    void keepsEverythingWhenItIsKilledItself();
    void letsASwarmBegin();
    void leadsTheContainersSocketToTheBridge();
    void refusesClaimsFromAContainer();
    void goesOnWithoutKeysTheEngineRefuses();
    void tellsTheMemoryOfItsProcesses();
    void stopsContainersAndTheMachine();

private:
    Result<> connectBridge();
    bool configure(const std::string& daemonJson);
    bool pings();
    std::string runDetached(std::vector<std::string> options, const std::string& name);

    AgentMachine m_machine;
    std::unique_ptr<FakeBridge> m_bridge;
};

Result<> TestAgent::connectBridge()
{
    TRY(auto control, m_machine.dial(helloControl()));
    m_bridge = std::make_unique<FakeBridge>(std::move(control));
    return {};
}

bool TestAgent::configure(const std::string& daemonJson)
{
    v1::ConfigureRequest request;
    request.set_daemon_json(daemonJson);
    request.set_cgroups_writable(true);
    v1::ConfigureResponse response;
    grpc::ClientContext call;
    return m_bridge->agent().Configure(&call, request, &response).ok();
}

bool TestAgent::pings()
{
    auto socket = m_machine.dial(helloEngine());
    return socket &&
           exchange(*socket, "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                   .find("200 OK") != std::string::npos;
}

// Its standard error, empty when the container runs.
std::string TestAgent::runDetached(std::vector<std::string> options, const std::string& name)
{
    std::vector<std::string> args{"run", "-d", "--name", name};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"box", "/bin/sleep", "3600"});
    return m_machine.docker(args).err;
}

void TestAgent::initTestCase()
{
    if (auto why = whyNoMachine(); !why.empty()) QSKIP(why.c_str());
    QVERIFY(m_machine.start());
    QVERIFY(eventually([this] { return connectBridge().has_value(); }, kStartLimit));
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_IDLE, 5s));
    QVERIFY(configure("{\"hosts\": [\"tcp://0.0.0.0:2375\"], \"labels\": [\"a=b\"]}"));
    auto report = m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, kStartLimit);
    QVERIFY2(report, m_machine.logs().c_str());
    QVERIFY(report->version().starts_with("26.1."));
    QCOMPARE(report->api_version(), std::string("1.45"));
    QVERIFY(report->notes_size() > 0);
    QVERIFY(report->notes(0).text().find("\"hosts\"") != std::string::npos);
    QVERIFY(m_machine.makeImage());
}

void TestAgent::cleanup()
{
    if (QTest::currentTestFailed()) qWarning("%s", m_machine.logs().c_str());
}

void TestAgent::turnsAwayAWrongToken()
{
    auto begin = std::chrono::steady_clock::now();
    auto socket = m_machine.dial(helloEngine(), randomToken());
    QVERIFY(!socket);
    QVERIFY(std::chrono::steady_clock::now() - begin < 1s);
    QVERIFY(eventually([this] { return m_machine.logs().find("wrong token") != std::string::npos; },
                       2s));
    QVERIFY(pings());
}

void TestAgent::namesTheNoteOfABadDaemonJson()
{
    QVERIFY(configure("{\n  \"labels\": [,]\n}"));
    auto noted = [this] {
        auto report = m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, kStartLimit);
        return report && report->notes_size() > 0 &&
               report->notes(0).text().find("line 2, column 14") != std::string::npos;
    };
    QVERIFY(eventually(noted, kStartLimit));
}

void TestAgent::carriesTheEnginesSocket()
{
    QVERIFY(pings());
    auto said = m_machine
                    .docker({"run", "-d", "--name", "web", "-p", "127.0.0.1:18099:80", "box",
                             "/bin/nc", "-l", "-p", "80", "-e", "/bin/echo", "hello"})
                    .err;
    QVERIFY2(said.empty(), said.c_str());
    auto address = m_machine.docker({"inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"}).out;
    address.pop_back();
    Result<Descriptor> socket = fail(Code::Unknown, "");
    QVERIFY(eventually(
        [&] { return (socket = m_machine.dial(helloConnectTcp(address, 80))).has_value(); }, 5s));
    QCOMPARE(exchange(*socket, ""), std::string("hello\n"));
    // What nobody publishes is out of reach, the engine's own surroundings too.
    for (auto [host, port] : {std::pair<std::string, std::uint16_t>{address, 81},
                              {"127.0.0.1", 80},
                              {"169.254.169.254", 80}}) {
        auto refused = m_machine.dial(helloConnectTcp(host, port));
        QVERIFY(!refused);
        QVERIFY2(refused.error().message.find("no container publishes") != std::string::npos,
                 refused.error().message.c_str());
    }
    m_machine.docker({"rm", "-f", "web"});
}

void TestAgent::failsARunWhosePortIsRefused()
{
    m_bridge->decide([](const v1::PortClaim& claim) {
        return "bind 127.0.0.1:" + std::to_string(claim.host_port()) +
               ": held by postgres (pid 812)";
    });
    auto said = runDetached({"-p", kHostPort + ":80"}, "refused");
    m_bridge->decide({});
    QVERIFY2(said.find("held by postgres (pid 812)") != std::string::npos, said.c_str());
    m_machine.docker({"rm", "-f", "refused"});
}

void TestAgent::claimsAndWithdrawsAPublishedPort()
{
    auto said = runDetached({"-p", "127.0.0.1:18100:80"}, "published");
    QVERIFY2(said.empty(), said.c_str());
    auto claim = m_bridge->waitForPort(claimOf(18100), 5s);
    QVERIFY(claim);
    QCOMPARE(claim->claim().protocol(), std::string("tcp"));
    QCOMPARE(claim->claim().host_address(), std::string("127.0.0.1"));
    QCOMPARE(claim->claim().container_port(), 80u);
    QVERIFY(!claim->restated());
    m_machine.docker({"rm", "-f", "published"});
    QVERIFY(m_bridge->waitForPort(withdrawalOf(claim->lease()), 5s));
}

void TestAgent::keepsContainersAndPortsWhenTheEngineIsKilled()
{
    auto said = runDetached({"-p", "127.0.0.1:18101:80"}, "survivor");
    QVERIFY2(said.empty(), said.c_str());
    auto claim = m_bridge->waitForPort(claimOf(18101), 5s);
    QVERIFY(claim);
    pid_t engine = m_machine.pidOf("dockerd");
    pid_t container = m_machine.pidOf("containerd-shim-runc-v2");
    QVERIFY(engine > 0 && container > 0);
    ::kill(engine, SIGKILL);
    auto killed = std::chrono::steady_clock::now();
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_FAILED, 2s));
    QVERIFY(eventually([this] { return pings(); }, 10s));
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - killed);
    qInfo("/_ping is back after %lld ms", static_cast<long long>(took.count()));
    QVERIFY2(took < 1500ms, std::to_string(took.count()).c_str());
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, 5s));
    QCOMPARE(m_machine.docker({"inspect", "-f", "{{.State.Running}}", "survivor"}).out,
             std::string("true\n"));
    QCOMPARE(m_bridge->countPorts(withdrawalOf(claim->lease())), 0);
    QCOMPARE(m_bridge->countPorts(claimOf(18101)), 1);
    m_machine.docker({"rm", "-f", "survivor"});
    QVERIFY(m_bridge->waitForPort(withdrawalOf(claim->lease()), 5s));
}

void TestAgent::keepsEverythingWhenItIsKilledItself()
{
    auto said = runDetached({"-p", "127.0.0.1:18102:80"}, "steady");
    QVERIFY2(said.empty(), said.c_str());
    auto claim = m_bridge->waitForPort(claimOf(18102), 5s);
    QVERIFY(claim);
    pid_t engine = m_machine.pidOf("dockerd");
    ::kill(m_machine.pidOf("slipway-agent"), SIGKILL);
    auto killed = std::chrono::steady_clock::now();
    QVERIFY(eventually([this] { return connectBridge().has_value(); }, 10s));
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, 10s));
    auto again = m_bridge->waitForPort(claimOf(18102), 10s);
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - killed);
    qInfo("everything is back after %lld ms", static_cast<long long>(took.count()));
    QVERIFY2(took < 2s, std::to_string(took.count()).c_str());
    QVERIFY(again);
    QVERIFY(again->restated());
    QCOMPARE(again->lease(), claim->lease());
    QCOMPARE(m_machine.pidOf("dockerd"), engine);
    QCOMPARE(m_machine.docker({"inspect", "-f", "{{.State.Running}}", "steady"}).out,
             std::string("true\n"));
    m_machine.docker({"rm", "-f", "steady"});
    QVERIFY(m_bridge->waitForPort(withdrawalOf(claim->lease()), 5s));
}

void TestAgent::letsASwarmBegin()
{
    auto setLiveRestore = [this](bool enabled) {
        v1::SetLiveRestoreRequest request;
        request.set_enabled(enabled);
        v1::SetLiveRestoreResponse response;
        grpc::ClientContext call;
        return m_bridge->agent().SetLiveRestore(&call, request, &response);
    };
    QVERIFY(setLiveRestore(false).ok());
    auto init = m_machine.docker({"swarm", "init", "--advertise-addr", "127.0.0.1"});
    QVERIFY2(init.exitCode == 0, init.err.c_str());
    QCOMPARE(setLiveRestore(true).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    ::kill(m_machine.pidOf("dockerd"),
           SIGKILL);  // In a swarm it must not come back with live-restore.
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_FAILED, 2s));
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, kStartLimit));
    auto leave = m_machine.docker({"swarm", "leave", "--force"});
    QVERIFY2(leave.exitCode == 0, leave.err.c_str());
    QVERIFY(setLiveRestore(true).ok());
    QCOMPARE(m_machine.docker({"info", "-f", "{{.LiveRestoreEnabled}}"}).out,
             std::string("true\n"));
}

void TestAgent::leadsTheContainersSocketToTheBridge()
{
    v1::StreamHello park;
    park.mutable_park();
    auto parked = m_machine.dial(park);
    QVERIFY(parked);
    Loop loop;
    HeadSocket head(loop, std::move(*parked));
    std::optional<std::string> asked;
    head.receive(4096, [&](Result<std::string> bytes) { asked = bytes.value_or(""); });
    StreamPtr guest;
    auto connecting = connectUnix(
        loop, m_machine.root() / "run/docker.sock",
        [&](Result<StreamPtr> connected) { guest = std::move(connected).value_or(nullptr); });
    QVERIFY(runUntil(loop, [&] { return asked.has_value(); }));
    v1::DialOut dial;
    QVERIFY(dial.ParseFromString(*asked));
    QVERIFY(dial.has_endpoint());
    bool sent = false;
    head.send(v1::DialOutAnswer(), [&](Result<>) { sent = true; });
    QVERIFY(runUntil(loop, [&] { return sent; }));
    auto bridge = adoptSocket(loop, head.release());
    QVERIFY(bridge);
    QVERIFY(guest);
    auto carries = [&loop](ByteStream& from, ByteStream& to, std::string_view text) {
        std::string came;
        from.write(bytesOf(text), [](const Result<>&) {});
        to.read(
            [&came](Result<ByteStream::Bytes> bytes) { came = bytes ? textOf(*bytes) : "broken"; });
        return runUntil(loop, [&came] { return !came.empty(); }) && came == text;
    };
    QVERIFY(carries(*guest, **bridge, "GET / HTTP/1.0"));
    QVERIFY(carries(**bridge, *guest, "HTTP/1.0 200 OK"));
}

void TestAgent::refusesClaimsFromAContainer()
{
    m_machine.docker({"run",
                      "-d",
                      "--name",
                      "liar",
                      "-v",
                      "/run/slipway:/run/slipway",
                      "-v",
                      "/usr/lib/slipway:/bin/slipway",
                      "-v",  // With a sanitizer it is not static.
                      "/usr/lib:/lib",
                      "-v",
                      "/usr/lib64:/lib64",
                      "box",
                      "/bin/slipway/slipway-port-proxy",
                      "-proto",
                      "tcp",
                      "-host-ip",
                      "0.0.0.0",
                      "-host-port",
                      "18103",
                      "-container-ip",
                      "172.17.0.9",
                      "-container-port",
                      "80"});
    QVERIFY(eventually(
        [this] { return m_machine.logs().find("it runs in a container") != std::string::npos; },
        5s));
    QCOMPARE(m_bridge->countPorts(claimOf(18103)), 0);
    m_machine.docker({"rm", "-f", "liar"});
}

void TestAgent::goesOnWithoutKeysTheEngineRefuses()
{
    QVERIFY(configure("{\"no-such-key\": 1}"));
    auto noted = [this] {
        auto report = m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, kStartLimit);
        return report && report->notes_size() > 0 &&
               report->notes(report->notes_size() - 1).text().find("no-such-key") !=
                   std::string::npos;
    };
    QVERIFY(eventually(noted, kStartLimit));
    QVERIFY(configure(""));
    QVERIFY(eventually([this] { return pings(); }, kStartLimit));
}

void TestAgent::tellsTheMemoryOfItsProcesses()
{
    v1::GetUsageResponse usage;
    grpc::ClientContext call;
    QVERIFY(m_bridge->agent().GetUsage(&call, {}, &usage).ok());
    QCOMPARE(usage.processes_size(), 4);
    for (const auto& process : usage.processes()) {
        qInfo("%s: %llu KiB", process.name().c_str(),
              static_cast<unsigned long long>(process.pss_bytes() / 1024));
        QVERIFY(process.pss_bytes() > 0);
    }
}

void TestAgent::stopsContainersAndTheMachine()
{
    QVERIFY(m_bridge->waitForEngine(v1::EngineReport::CONDITION_RUNNING, kStartLimit));
    auto said = m_machine
                    .docker({"run", "-d", "--name", "polite", "box", "/bin/sh", "-c",
                             "trap 'exit 7' TERM; while :; do sleep 0.1; done"})
                    .err;
    QVERIFY2(said.empty(), said.c_str());
    v1::ShutdownResponse response;
    grpc::ClientContext call;
    QVERIFY(m_bridge->agent().Shutdown(&call, {}, &response).ok());
    QVERIFY(eventually([this] { return !m_machine.isAlive(); }, 20s));
    QVERIFY(m_machine.logs().find("killed, as it did not end") == std::string::npos);
}

QTEST_GUILESS_MAIN(TestAgent)
#include "tst_agent.moc"
