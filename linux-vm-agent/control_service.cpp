#include "linux-vm-agent/control_service.h"

#include <future>
#include <thread>

#include <unistd.h>

#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include "shared/process/process_facts.h"
#include "shared/rpc/status.h"

namespace slipway {
namespace {

constexpr pid_t kInitPid = 1;
constexpr std::chrono::seconds kPatience{10};  // How soon a stream notices that its bridge is gone.
constexpr int kIdlePollMs = 60'000;            // How often gRPC looks after its idle threads.

}  // namespace

ControlService::ControlService(Loop& loop, Engine& engine, PortClaims& ports, Hooks hooks)
    : m_loop(loop), m_engine(engine), m_ports(ports), m_hooks(std::move(hooks))
{
    using Option = grpc::ServerBuilder::SyncServerOption;
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    builder.SetSyncServerOption(Option::NUM_CQS, 1);
    builder.SetSyncServerOption(Option::MIN_POLLERS, 1);
    builder.SetSyncServerOption(Option::MAX_POLLERS, 1);
    builder.SetSyncServerOption(Option::CQ_TIMEOUT_MSEC, kIdlePollMs);
    m_server = builder.BuildAndStart();
    CHECK(m_server);
}

ControlService::~ControlService() = default;

void ControlService::serve(Descriptor stream)
{
    grpc::AddInsecureChannelFromFd(m_server.get(), stream.release());
}

void ControlService::engineChanged()
{
    for (const EngineReports& watch : m_watches) watch->push(m_engine.report());
}

Result<> ControlService::onLoop(std::function<void(std::function<void(Result<>)> done)> work)
{
    auto outcome = std::make_shared<std::promise<Result<>>>();
    auto known = outcome->get_future();
    m_loop.post([work = std::move(work), outcome] {
        work([outcome](Result<> result) { outcome->set_value(std::move(result)); });
    });
    return known.get();
}

grpc::Status ControlService::Configure(grpc::ServerContext*, const v1::ConfigureRequest* request,
                                       v1::ConfigureResponse*)
{
    return toStatus(onLoop([&](auto done) { done(m_hooks.configure(*request)); }));
}

grpc::Status ControlService::WatchEngine(grpc::ServerContext* call, const v1::WatchEngineRequest*,
                                         grpc::ServerWriter<v1::EngineReport>* writer)
{
    auto reports = std::make_shared<Outbox<v1::EngineReport>>();
    m_loop.post([this, reports] {
        m_watches.insert(reports);
        reports->push(m_engine.report());
    });
    while (!call->IsCancelled()) {
        auto report = reports->take(kPatience);
        if (report && !writer->Write(*report)) break;
    }
    m_loop.post([this, reports] { m_watches.erase(reports); });
    return grpc::Status::OK;
}

grpc::Status ControlService::Ports(
    grpc::ServerContext*, grpc::ServerReaderWriter<v1::PortRequest, v1::PortDecision>* stream)
{
    auto requests = std::make_shared<Outbox<v1::PortRequest>>();
    m_loop.post([this, requests] {
        m_portRequests = requests;
        m_ports.bridgeCame([requests](const v1::PortRequest& request) { requests->push(request); });
    });
    std::thread writer([requests, stream] {
        while (!requests->closed()) {
            auto request = requests->take(kPatience);
            if (request && !stream->Write(*request)) return;
        }
    });
    for (v1::PortDecision decision; stream->Read(&decision);)
        m_loop.post([this, decision] { m_ports.decided(decision); });
    m_loop.post([this, requests] {
        if (m_portRequests != requests) return;  // A later bridge's stream has taken its place.
        m_portRequests.reset();
        m_ports.bridgeGone();
    });
    requests->close();
    writer.join();
    return grpc::Status::OK;
}

grpc::Status ControlService::SetLiveRestore(grpc::ServerContext*,
                                            const v1::SetLiveRestoreRequest* request,
                                            v1::SetLiveRestoreResponse*)
{
    return toStatus(onLoop([&](auto done) { m_engine.setLiveRestore(request->enabled(), done); }));
}

// Answered at once: the end of the machine is what its bridge waits for.
grpc::Status ControlService::Shutdown(grpc::ServerContext*, const v1::ShutdownRequest*,
                                      v1::ShutdownResponse*)
{
    m_loop.post([this] { m_hooks.shutdown(); });
    return grpc::Status::OK;
}

grpc::Status ControlService::GetUsage(grpc::ServerContext*, const v1::GetUsageRequest*,
                                      v1::GetUsageResponse* response)
{
    auto add = [response](const char* name, std::optional<pid_t> pid) {
        auto bytes = pid ? pssBytesOf(*pid) : 0;
        if (bytes == 0) return;
        auto* process = response->add_processes();
        process->set_name(name);
        process->set_pid(static_cast<std::uint32_t>(*pid));
        process->set_pss_bytes(bytes);
    };
    return toStatus(onLoop([&](auto done) {
        add("slipway-init", kInitPid);
        add("slipway-agent", ::getpid());
        add("containerd", m_engine.containerdPid());
        add("dockerd", m_engine.dockerdPid());
        done({});
    }));
}

}  // namespace slipway
