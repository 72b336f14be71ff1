// The `control` service: gRPC's Agent, answered on the agent's loop.
//
// Theory of operation. gRPC's own threads call in; whatever touches the engine or the ports is posted to the
// loop, and so are all writes of a stream, which come one at a time out of an outbox. A reactor deletes itself
// on the loop once gRPC says that it is done with it.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include <grpcpp/server.h>

#include "linux-vm-agent/engine/engine.h"
#include "linux-vm-agent/ports/port_claims.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"
#include "shared/proto/agent.grpc.pb.h"

namespace slipway {

class ControlService final : public v1::Agent::CallbackService {
public:
    ControlService(Loop& loop, Engine& engine, PortClaims& ports, std::function<void()> shutdown);
    ~ControlService() override;

    void serve(Descriptor stream);  // One bridge's connection.
    void engineChanged();           // Tells whoever watches it.

private:
    class EngineWatch;
    class PortsStream;

    grpc::ServerUnaryReactor* Configure(grpc::CallbackServerContext*, const v1::ConfigureRequest*,
                                        v1::ConfigureResponse*) override;
    grpc::ServerWriteReactor<v1::EngineReport>* WatchEngine(grpc::CallbackServerContext*,
                                                            const v1::WatchEngineRequest*) override;
    grpc::ServerBidiReactor<v1::PortDecision, v1::PortRequest>* Ports(
        grpc::CallbackServerContext*) override;
    grpc::ServerUnaryReactor* SetLiveRestore(grpc::CallbackServerContext*,
                                             const v1::SetLiveRestoreRequest*,
                                             v1::SetLiveRestoreResponse*) override;
    grpc::ServerUnaryReactor* Shutdown(grpc::CallbackServerContext*, const v1::ShutdownRequest*,
                                       v1::ShutdownResponse*) override;
    grpc::ServerUnaryReactor* GetUsage(grpc::CallbackServerContext*, const v1::GetUsageRequest*,
                                       v1::GetUsageResponse*) override;

    Loop& m_loop;
    Engine& m_engine;
    PortClaims& m_ports;
    std::function<void()> m_shutdown;
    std::set<EngineWatch*> m_watches;
    PortsStream* m_portsStream = nullptr;  // The one that the ports are told on.
    std::unique_ptr<grpc::Server> m_server;
};

}  // namespace slipway
