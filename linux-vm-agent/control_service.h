// The `control` service: gRPC's Agent, answered on the agent's loop.
//
// Theory of operation. gRPC's threads call in and block; whatever touches the engine or the ports
// is posted to the loop. What the loop has for a stream goes into an Outbox, which the stream's own
// thread empties, so that a bridge that does not read never holds the loop up. It is the blocking
// API because the callback API of gRPC 1.51 wakes two threads three times a second each for as long
// as it is idle (measured; its `nexting` threads poll), and an idle agent is to be quiet.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include <grpcpp/server.h>

#include "linux-vm-agent/engine/engine.h"
#include "linux-vm-agent/outbox.h"
#include "linux-vm-agent/ports/port_claims.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"
#include "shared/proto/agent.grpc.pb.h"

namespace slipway {

class ControlService final : public v1::Agent::Service {
public:
    struct Hooks {
        std::function<Result<>(const v1::ConfigureRequest&)> configure;
        std::function<void()> shutdown;
    };
    ControlService(Loop& loop, Engine& engine, PortClaims& ports, Hooks hooks);
    ~ControlService() override;

    void serve(Descriptor stream);  // One bridge's connection.
    void engineChanged();           // Tells whoever watches it.

private:
    using EngineReports = std::shared_ptr<Outbox<v1::EngineReport>>;
    using PortRequests = std::shared_ptr<Outbox<v1::PortRequest>>;

    grpc::Status Configure(grpc::ServerContext*, const v1::ConfigureRequest*,
                           v1::ConfigureResponse*) override;
    grpc::Status WatchEngine(grpc::ServerContext*, const v1::WatchEngineRequest*,
                             grpc::ServerWriter<v1::EngineReport>*) override;
    grpc::Status Ports(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::PortRequest, v1::PortDecision>*) override;
    grpc::Status SetLiveRestore(grpc::ServerContext*, const v1::SetLiveRestoreRequest*,
                                v1::SetLiveRestoreResponse*) override;
    grpc::Status Shutdown(grpc::ServerContext*, const v1::ShutdownRequest*,
                          v1::ShutdownResponse*) override;
    grpc::Status GetUsage(grpc::ServerContext*, const v1::GetUsageRequest*,
                          v1::GetUsageResponse*) override;

    // Runs `work` on the loop and waits until it has called the `done` it was given.
    Result<> onLoop(std::function<void(std::function<void(Result<>)> done)> work);

    Loop& m_loop;
    Engine& m_engine;
    PortClaims& m_ports;
    Hooks m_hooks;
    std::set<EngineReports> m_watches;
    PortRequests m_portRequests;  // Of the stream that the ports are told on; null: none.
    std::unique_ptr<grpc::Server> m_server;
};

}  // namespace slipway
