// What containerd and dockerd are started with.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "linux-vm-agent/engine/engine.h"
#include "linux-vm-agent/engine/engine_log.h"
#include "linux-vm-agent/engine/layout.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

// CRI serves Kubernetes only, and costs start time and memory.
constexpr std::string_view kContainerdConfig =
    "version = 2\n"
    "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
constexpr const char* kRootlessRuntimeDir = "/run/slipway/user";

// Nothing is inherited: a leaked XDG_RUNTIME_DIR breaks every exec, and a leaked NOTIFY_SOCKET
// waits for ever.
std::map<std::string, std::string> cleanEnvironment()
{
    return {{"PATH", fmt::format("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                 kEngineBinDir)},
            {"HOME", "/root"}};
}

Command daemonCommand(const char* program, std::vector<std::string> args)
{
    Command command;
    command.program = program;
    command.args = std::move(args);
    command.environment = cleanEnvironment();
    command.workDir = "/";
    command.out = std::filesystem::path(kEngineLogFile);
    command.err = std::filesystem::path(kEngineLogFile);
    command.newSession = true;
    return command;
}

Result<> writeFile(const char* path, std::string_view text)
{
    std::ofstream file(path, std::ios::trunc | std::ios::binary);
    file << text;
    file.close();
    if (!file)
        return fail(Code::Unavailable, fmt::format("write {}: the file system is full", path));
    return {};
}

}  // namespace

Result<Command> Engine::containerdCommand() const
{
    trimEngineLog();
    TRY_VOID(writeFile(kContainerdConfigFile, kContainerdConfig));
    return daemonCommand("/usr/bin/containerd", {"--config", kContainerdConfigFile, "--address",
                                                 kContainerdSocket, "--log-level", "warn"});
}

Result<Command> Engine::dockerdCommand()
{
    if (!m_nat) return fail(Code::Unavailable, "whether there is NAT is not known yet");
    trimEngineLog();
    std::error_code ignored;
    std::filesystem::remove(kEnginePidFile,
                            ignored);  // A killed one's, whose pid another may have now.
    if (m_nat->backend != NatBackend::None) TRY_VOID(chooseIptables(m_nat->backend));
    // In a swarm, dockerd would refuse to start with it.
    TRY_VOID(writeDaemonJson(!std::filesystem::exists(kSwarmStateFile, ignored)));
    Command command = daemonCommand("/usr/sbin/dockerd", {"--config-file", kDaemonJsonFile});
    if (m_configuration->rootless() && !m_configuration->cgroups_writable()) {
        std::filesystem::create_directories(kRootlessRuntimeDir, ignored);
        command.args.push_back("--rootless");
        (*command.environment)["XDG_RUNTIME_DIR"] = kRootlessRuntimeDir;
    }
    return command;
}

DaemonJson Engine::daemonJsonNow(bool liveRestore) const
{
    EngineNeeds needs;
    needs.inSwarm = !liveRestore;
    needs.nat4 = m_nat->backend != NatBackend::None;
    needs.nat6 = m_nat->ipv6;
    needs.hostGateway = m_hostGateway;
    needs.hostSubnets = {m_configuration->host_subnets().begin(),
                         m_configuration->host_subnets().end()};
    return daemonJson(usersKeysHold() ? m_configuration->daemon_json() : "", needs);
}

Result<> Engine::writeDaemonJson(bool liveRestore)
{
    m_daemonJson = daemonJsonNow(liveRestore);
    m_liveRestore = liveRestore;
    return writeFile(kDaemonJsonFile, m_daemonJson.text);
}

}  // namespace slipway
