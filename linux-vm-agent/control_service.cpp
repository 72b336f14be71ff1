#include "linux-vm-agent/control_service.h"

#include <deque>

#include <unistd.h>

#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include "linux-vm-agent/usage.h"
#include "shared/core/log.h"
#include "shared/rpc/status.h"

namespace slipway {
namespace {

constexpr pid_t kInitPid = 1;

// What waits to be written on a stream, one message at a time. Lives on the loop.
template <class Message>
class Outbox {
public:
    using Write = std::function<void(const Message*)>;
    explicit Outbox(Write write) : m_write(std::move(write)) {}

    void push(Message message)
    {
        m_messages.push_back(std::move(message));
        if (m_messages.size() == 1) m_write(&m_messages.front());
    }
    void written()
    {
        m_messages.pop_front();
        if (!m_messages.empty()) m_write(&m_messages.front());
    }

private:
    Write m_write;
    std::deque<Message> m_messages;  // The first is being written.
};

}  // namespace

// Once cancelled or broken it writes no more; gRPC's OnDone is its end.
class ControlService::EngineWatch final : public grpc::ServerWriteReactor<v1::EngineReport> {
public:
    explicit EngineWatch(ControlService& service)
        : m_service(service), m_outbox([this](const v1::EngineReport* report) { StartWrite(report); })
    {
        m_service.m_loop.post([this] {
            m_service.m_watches.insert(this);
            send(m_service.m_engine.report());
        });
    }

    void send(v1::EngineReport report)
    {
        if (!m_over) m_outbox.push(std::move(report));
    }

private:
    void OnWriteDone(bool ok) override
    {
        m_service.m_loop.post([this, ok] {
            if (m_over) return;
            ok ? m_outbox.written() : end();
        });
    }
    void OnCancel() override
    {
        m_service.m_loop.post([this] { end(); });
    }
    void OnDone() override
    {
        m_service.m_loop.post([this] {
            m_service.m_watches.erase(this);
            delete this;
        });
    }
    void end()
    {
        if (!std::exchange(m_over, true)) Finish(grpc::Status::CANCELLED);
    }

    ControlService& m_service;
    Outbox<v1::EngineReport> m_outbox;
    bool m_over = false;
};

class ControlService::PortsStream final
    : public grpc::ServerBidiReactor<v1::PortDecision, v1::PortRequest> {
public:
    explicit PortsStream(ControlService& service)
        : m_service(service), m_outbox([this](const v1::PortRequest* request) { StartWrite(request); })
    {
        m_service.m_loop.post([this] {
            m_service.m_portsStream = this;
            m_service.m_ports.bridgeCame([this](const v1::PortRequest& request) {
                if (!m_over) m_outbox.push(request);
            });
            StartRead(&m_decision);
        });
    }

private:
    void OnReadDone(bool ok) override
    {
        m_service.m_loop.post([this, ok] {
            if (m_over) return;
            if (!ok) return end();
            m_service.m_ports.decided(m_decision);
            StartRead(&m_decision);
        });
    }
    void OnWriteDone(bool ok) override
    {
        m_service.m_loop.post([this, ok] {
            if (m_over) return;
            ok ? m_outbox.written() : end();
        });
    }
    void OnCancel() override
    {
        m_service.m_loop.post([this] { end(); });
    }
    void OnDone() override
    {
        m_service.m_loop.post([this] { delete this; });
    }
    void end()
    {
        if (std::exchange(m_over, true)) return;
        if (m_service.m_portsStream == this) {
            m_service.m_portsStream = nullptr;
            m_service.m_ports.bridgeGone();
        }
        Finish(grpc::Status::OK);
    }

    ControlService& m_service;
    v1::PortDecision m_decision;
    Outbox<v1::PortRequest> m_outbox;
    bool m_over = false;
};

ControlService::ControlService(Loop& loop, Engine& engine, PortClaims& ports,
                               std::function<void()> shutdown)
    : m_loop(loop), m_engine(engine), m_ports(ports), m_shutdown(std::move(shutdown))
{
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
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
    for (EngineWatch* watch : m_watches) watch->send(m_engine.report());
}

grpc::ServerUnaryReactor* ControlService::Configure(grpc::CallbackServerContext* call,
                                                    const v1::ConfigureRequest* request,
                                                    v1::ConfigureResponse*)
{
    auto* reactor = call->DefaultReactor();
    m_loop.post([this, reactor, request] { reactor->Finish(toStatus(m_engine.configure(*request))); });
    return reactor;
}

grpc::ServerWriteReactor<v1::EngineReport>* ControlService::WatchEngine(grpc::CallbackServerContext*,
                                                                        const v1::WatchEngineRequest*)
{
    return new EngineWatch(*this);
}

grpc::ServerBidiReactor<v1::PortDecision, v1::PortRequest>* ControlService::Ports(
    grpc::CallbackServerContext*)
{
    return new PortsStream(*this);
}

grpc::ServerUnaryReactor* ControlService::SetLiveRestore(grpc::CallbackServerContext* call,
                                                         const v1::SetLiveRestoreRequest* request,
                                                         v1::SetLiveRestoreResponse*)
{
    auto* reactor = call->DefaultReactor();
    m_loop.post([this, reactor, enabled = request->enabled()] {
        m_engine.setLiveRestore(enabled, [reactor](const Result<>& taken) {
            reactor->Finish(toStatus(taken));
        });
    });
    return reactor;
}

// Answered at once: the end of the machine is what its bridge waits for.
grpc::ServerUnaryReactor* ControlService::Shutdown(grpc::CallbackServerContext* call,
                                                   const v1::ShutdownRequest*, v1::ShutdownResponse*)
{
    auto* reactor = call->DefaultReactor();
    m_loop.post([this, reactor] {
        reactor->Finish(grpc::Status::OK);
        m_shutdown();
    });
    return reactor;
}

grpc::ServerUnaryReactor* ControlService::GetUsage(grpc::CallbackServerContext* call,
                                                   const v1::GetUsageRequest*,
                                                   v1::GetUsageResponse* response)
{
    auto* reactor = call->DefaultReactor();
    m_loop.post([this, reactor, response] {
        auto add = [response](const char* name, std::optional<pid_t> pid) {
            auto bytes = pid ? pssBytesOf(*pid) : std::nullopt;
            if (!bytes) return;
            auto* process = response->add_processes();
            process->set_name(name);
            process->set_pid(static_cast<std::uint32_t>(*pid));
            process->set_pss_bytes(*bytes);
        };
        add("slipway-init", kInitPid);
        add("slipway-agent", ::getpid());
        add("containerd", m_engine.containerdPid());
        add("dockerd", m_engine.dockerdPid());
        reactor->Finish(grpc::Status::OK);
    });
    return reactor;
}

}  // namespace slipway
