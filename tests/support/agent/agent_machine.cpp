#include "tests/support/agent/agent_machine.h"

#include <csignal>
#include <fstream>
#include <sstream>

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>
#include <grpcpp/create_channel_posix.h>

#include "shared/json/json.h"
#include "tests/support/run_until.h"
#include "tests/support/slipway_fixture.h"

namespace slipway::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kToolLimit = 60s;

std::filesystem::path variable(const char* name)
{
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::filesystem::path programDir()
{
    return std::filesystem::canonical(variable("SLIPWAY_BIN"));
}

std::string namespaceOf(pid_t pid)
{
    std::error_code failed;
    return std::filesystem::read_symlink(fmt::format("/proc/{}/ns/pid", pid), failed).string();
}

}  // namespace

std::string whyNoMachine()
{
    if (auto why = whyNoSlipway(); !why.empty()) return why;
    if (!std::filesystem::is_directory(variable("SLIPWAY_ROOTFS")))
        return "SLIPWAY_ROOTFS names no unpacked root file system; run packaging/rootfs/build "
               "--unpacked";
    if (!std::filesystem::exists("/bin/busybox"))
        return "no /bin/busybox; apt-get install busybox-static";
    return "";
}

AgentMachine::AgentMachine()
    : m_name(fmt::format("slipway-agent{}", ::getpid())), m_token(randomToken())
{
    for (const char* folder : {"run/tunnel", "logs", "machine"})
        std::filesystem::create_directories(std::filesystem::path(m_dir.path().toStdString()) /
                                            folder);
}

AgentMachine::~AgentMachine()
{
    if (m_init == 0) return;
    // What a sanitizer says in the machine stands there alone, and tests/run fails who prints it.
    if (auto said = logs(); said.find("Sanitizer: ") != std::string::npos)
        fmt::print(stderr, "{}", said);
    Command clean;
    clean.program = programDir() / "slipway-sandbox";
    clean.args = {"clean", "--name", m_name, "--home", m_dir.path().toStdString()};
    run(clean, kToolLimit);
}

bool AgentMachine::start()
{
    Command command;
    command.program = programDir() / "slipway-sandbox";
    command.args = {"start",
                    "--name",
                    m_name,
                    "--home",
                    m_dir.path().toStdString(),
                    "--root",
                    variable("SLIPWAY_ROOTFS").string(),
                    "--bin",
                    programDir().string(),
                    "--files",
                    "direct"};
    command.input = std::string(reinterpret_cast<const char*>(m_token.data()), m_token.size());
    auto output = outputOf(command, kToolLimit);
    auto facts = output ? parseJson(*output, "slipway-sandbox")
                        : Result<boost::json::value>(tl::unexpected(output.error()));
    if (!facts) {
        fmt::print(stderr, "{}\n", facts.error().message);
        return false;
    }
    m_init = static_cast<pid_t>(facts->at("pid").as_int64());
    m_pidfd = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, m_init, 0)));
    return static_cast<bool>(m_pidfd);
}

bool AgentMachine::isAlive() const
{
    pollfd ended{m_pidfd.get(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
}

Result<Descriptor> AgentMachine::dial(v1::StreamHello hello, const Token& token)
{
    Loop loop;
    std::optional<Result<Descriptor>> result;
    {
        auto dialer = unixDialer(
            loop, std::filesystem::path(m_dir.path().toStdString()) / "run/tunnel/agent.sock",
            token);
        auto dialing = dialer->dialSocket(std::move(hello), [&result](Result<Descriptor> socket) {
            result.emplace(std::move(socket));
        });
        if (!runUntil(loop, [&result] { return result.has_value(); }))
            result.emplace(fail(Code::DeadlineExceeded, "the dial did not end"));
    }
    return std::move(*result);
}

Output AgentMachine::docker(std::vector<std::string> args)
{
    Command command;
    command.program = variable("SLIPWAY_CLI") / "docker";
    command.args = {"-H", fmt::format("unix:///proc/{}/root/run/slipway/engine.sock", m_init)};
    command.args.insert(command.args.end(), args.begin(), args.end());
    auto output = run(command, kToolLimit);
    return output ? *output : Output{-1, "", output.error().message};
}

bool AgentMachine::makeImage()
{
    Command command;
    command.program = "/bin/sh";
    command.args = {
        "-c",
        fmt::format("set -e; d=$(mktemp -d); mkdir $d/bin; cp /bin/busybox $d/bin; "
                    "chroot $d /bin/busybox --install /bin; tar -C $d -c . | "
                    "{} -H unix:///proc/{}/root/run/slipway/engine.sock import - box; rm -r $d",
                    (variable("SLIPWAY_CLI") / "docker").string(), m_init)};
    auto output = outputOf(command, kToolLimit);
    if (!output) fmt::print(stderr, "{}\n", output.error().message);
    return output.has_value();
}

pid_t AgentMachine::pidOf(const std::string& comm) const
{
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "comm"), name);
        if (name != comm.substr(0, 15)) continue;
        pid_t pid = std::atoi(entry.path().filename().c_str());
        if (namespaceOf(pid) == namespaceOf(m_init)) return pid;
    }
    return 0;
}

std::filesystem::path AgentMachine::root() const
{
    return fmt::format("/proc/{}/root", m_init);
}

std::string AgentMachine::logs() const
{
    std::ostringstream text;
    for (const char* name : {"agent.log", "engine.log"})
        text << std::ifstream(std::filesystem::path(m_dir.path().toStdString()) / "logs" / name)
                    .rdbuf();
    return text.str();
}

FakeBridge::FakeBridge(Descriptor control)
    : m_stub(v1::Agent::NewStub(grpc::CreateInsecureChannelFromFd("agent", control.release()))),
      m_engineReader([this] { readEngine(); }),
      m_portsReader([this] { readPorts(); })
{
}

FakeBridge::~FakeBridge()
{
    m_engineCall.TryCancel();
    m_portsCall.TryCancel();
    m_engineReader.join();
    m_portsReader.join();
}

void FakeBridge::readEngine()
{
    auto reports = m_stub->WatchEngine(&m_engineCall, {});
    for (v1::EngineReport report; reports->Read(&report);) {
        std::lock_guard lock(m_mutex);
        m_engine = report;
        m_changed.notify_all();
    }
    reports->Finish();
}

void FakeBridge::readPorts()
{
    auto ports = m_stub->Ports(&m_portsCall);
    for (v1::PortRequest request; ports->Read(&request);) {
        v1::PortDecision decision;
        decision.set_lease(request.lease());
        {
            std::lock_guard lock(m_mutex);
            m_ports.push_back(request);
            m_changed.notify_all();
            if (request.has_claim() && m_decision)
                decision.set_refusal(m_decision(request.claim()));
        }
        if (request.has_claim()) ports->Write(decision);
    }
    ports->Finish();
}

std::optional<v1::EngineReport> FakeBridge::waitForEngine(v1::EngineReport::Condition condition,
                                                          std::chrono::milliseconds limit)
{
    std::unique_lock lock(m_mutex);
    bool came = m_changed.wait_for(lock, limit, [&] { return m_engine.condition() == condition; });
    return came ? std::optional(m_engine) : std::nullopt;
}

void FakeBridge::decide(std::function<std::string(const v1::PortClaim&)> decision)
{
    std::lock_guard lock(m_mutex);
    m_decision = std::move(decision);
}

std::optional<v1::PortRequest> FakeBridge::waitForPort(const Wanted& wanted,
                                                       std::chrono::milliseconds limit)
{
    std::unique_lock lock(m_mutex);
    auto found = m_ports.end();
    m_changed.wait_for(lock, limit, [&] {
        found = std::find_if(m_ports.begin(), m_ports.end(), wanted);
        return found != m_ports.end();
    });
    return found != m_ports.end() ? std::optional(*found) : std::nullopt;
}

int FakeBridge::countPorts(const Wanted& wanted)
{
    std::lock_guard lock(m_mutex);
    return static_cast<int>(std::count_if(m_ports.begin(), m_ports.end(), wanted));
}

}  // namespace slipway::test
