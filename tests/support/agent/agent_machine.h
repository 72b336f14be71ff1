// A machine with the real agent and engine, made by slipway-sandbox, and the bridge's end of its
// tunnel.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <QTemporaryDir>

#include "shared/process/child.h"
#include "shared/proto/agent.grpc.pb.h"
#include "shared/tunnel/dialer.h"

namespace slipway::test {

// Why none can be made here, with the remedy; empty: it can.
std::string whyNoMachine();

class AgentMachine {
public:
    AgentMachine();
    ~AgentMachine();  // Kills it, and removes what it left.

    bool start();
    bool isAlive() const;

    // One dial, waited for.
    Result<Descriptor> dial(v1::StreamHello hello, const Token& token);
    Result<Descriptor> dial(v1::StreamHello hello) { return dial(std::move(hello), m_token); }

    // dockerd's own socket, by the machine's root: not a thing of Slipway's.
    Output docker(std::vector<std::string> args);
    bool makeImage();  // "box": busybox.

    pid_t pidOf(const std::string& comm) const;  // In the machine, as the host counts; 0: none.
    std::filesystem::path root() const;          // The machine's file system.
    std::string logs() const;

private:
    QTemporaryDir m_dir;
    std::string m_name;
    Token m_token;
    pid_t m_init = 0;
    Descriptor m_pidfd;  // Of m_init.
};

// A bridge's control connection. Its threads only collect; the test waits for what it wants.
class FakeBridge {
public:
    explicit FakeBridge(Descriptor control);
    ~FakeBridge();

    v1::Agent::Stub& agent() { return *m_stub; }

    std::optional<v1::EngineReport> waitForEngine(v1::EngineReport::Condition condition,
                                                  std::chrono::milliseconds limit);

    // The refusal for each claim; bound without it.
    void decide(std::function<std::string(const v1::PortClaim&)> decision);
    using Wanted = std::function<bool(const v1::PortRequest&)>;
    // The first that has come, or comes in time; and how many have come until now.
    std::optional<v1::PortRequest> waitForPort(const Wanted& wanted,
                                               std::chrono::milliseconds limit);
    int countPorts(const Wanted& wanted);

private:
    void readEngine();
    void readPorts();

    std::unique_ptr<v1::Agent::Stub> m_stub;
    grpc::ClientContext m_engineCall;
    grpc::ClientContext m_portsCall;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    v1::EngineReport m_engine;             // Guarded by m_mutex, as are
    std::vector<v1::PortRequest> m_ports;  // these two.
    std::function<std::string(const v1::PortClaim&)> m_decision;
    std::thread m_engineReader;
    std::thread m_portsReader;
};

}  // namespace slipway::test
