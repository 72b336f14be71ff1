#include "wsl-bridge/agent_link.h"

#include <deque>
#include <mutex>

#include <grpcpp/create_channel_posix.h>

#include "shared/rpc/calls_under_way.h"
#include "shared/rpc/status.h"

namespace slipway {

using namespace std::chrono_literals;

namespace {

// Reads reports until the stream ends, then deletes itself.
class EngineStream final : public grpc::ClientReadReactor<v1::EngineReport> {
public:
    using Report = std::function<void(v1::EngineReport)>;
    using Ended = std::function<void(grpc::Status)>;

    EngineStream(v1::Agent::StubInterface& stub, std::shared_ptr<CallsUnderWay> calls,
                 Report report, Ended ended)
        : m_calls(std::move(calls)),
          m_context(m_calls->begin()),
          m_report(std::move(report)),
          m_ended(std::move(ended))
    {
        stub.async()->WatchEngine(m_context, &m_request, this);
        StartRead(&m_message);
        StartCall();
    }

    void OnReadDone(bool ok) override
    {
        if (!ok) return;
        m_report(m_message);
        StartRead(&m_message);
    }

    void OnDone(const grpc::Status& status) override
    {
        m_ended(status);
        auto calls = m_calls;
        auto* context = m_context;
        delete this;
        calls->end(context);
    }

private:
    std::shared_ptr<CallsUnderWay> m_calls;
    grpc::ClientContext* m_context;
    v1::WatchEngineRequest m_request;
    v1::EngineReport m_message;
    Report m_report;
    Ended m_ended;
};

}  // namespace

// Reads claims and writes decisions, one at a time, until the stream ends. It keeps itself alive
// till gRPC is done with it.
class PortStream final : public grpc::ClientBidiReactor<v1::PortDecision, v1::PortRequest> {
public:
    using Claimed = std::function<void(v1::PortRequest)>;
    using Ended = std::function<void(grpc::Status)>;

    PortStream(v1::Agent::StubInterface& stub, std::shared_ptr<CallsUnderWay> calls,
               Claimed claimed, Ended ended)
        : m_calls(std::move(calls)),
          m_context(m_calls->begin()),
          m_claimed(std::move(claimed)),
          m_ended(std::move(ended))
    {
        stub.async()->Ports(m_context, this);
        AddHold();  // write() comes from another thread than gRPC's, until the stream has ended.
    }

    void start(std::shared_ptr<PortStream> self)
    {
        m_self = std::move(self);
        StartRead(&m_request);
        StartCall();
    }

    void write(const v1::PortDecision& decision)
    {
        std::lock_guard lock(m_mutex);
        if (m_over) return;
        m_waiting.push_back(decision);
        if (m_waiting.size() == 1) StartWrite(&m_waiting.front());
    }

    void OnReadDone(bool ok) override
    {
        if (ok) {
            m_claimed(m_request);
            StartRead(&m_request);
            return;
        }
        {
            std::lock_guard lock(m_mutex);
            m_over = true;
        }
        RemoveHold();
    }

    void OnWriteDone(bool ok) override
    {
        std::lock_guard lock(m_mutex);
        m_waiting.pop_front();
        if (ok && !m_over && !m_waiting.empty()) StartWrite(&m_waiting.front());
    }

    void OnDone(const grpc::Status& status) override
    {
        m_ended(status);
        auto calls = m_calls;
        auto* context = m_context;
        m_self.reset();
        calls->end(context);
    }

private:
    std::shared_ptr<CallsUnderWay> m_calls;
    grpc::ClientContext* m_context;
    std::shared_ptr<PortStream> m_self;
    v1::PortRequest m_request;
    Claimed m_claimed;
    Ended m_ended;
    std::mutex m_mutex;
    std::deque<v1::PortDecision> m_waiting;  // Guarded by m_mutex; the first is being written.
    bool m_over = false;                     // Guarded by m_mutex.
};

AgentLink::AgentLink(Loop& loop, Descriptor control, Listeners listeners)
    : m_loop(loop),
      m_listeners(std::move(listeners)),
      m_calls(std::make_shared<CallsUnderWay>()),
      m_channel(grpc::CreateInsecureChannelFromFd("slipway-agent", control.release())),
      m_stub(v1::Agent::NewStub(m_channel))
{
    watchEngine();
    watchPorts();
}

AgentLink::~AgentLink()
{
    m_calls->cancelAndWait();
}

template <class Request, class Response>
void AgentLink::call(void (v1::Agent::StubInterface::async_interface::*method)(
                         grpc::ClientContext*, const Request*, Response*,
                         std::function<void(grpc::Status)>),
                     const Request& request, std::chrono::milliseconds limit,
                     std::function<void(Result<Response>)> done)
{
    struct Call {
        Request request;
        Response response;
    };
    auto* context = m_calls->begin();
    context->set_deadline(std::chrono::system_clock::now() + limit);
    auto one = std::make_shared<Call>(Call{request, {}});
    unsigned number = ++m_lastCall;
    m_unanswered[number] = [done](const Error& error) { done(tl::unexpected(error)); };
    auto deliver = m_alive.wrap([this, number, one, done](const grpc::Status& status) {
        if (!m_unanswered.erase(number)) return;
        if (!status.ok()) return done(tl::unexpected(fromStatus(status)));
        done(std::move(one->response));
    });
    (m_stub->async()->*method)(
        context, &one->request, &one->response,
        [&loop = m_loop, calls = m_calls, context, one, deliver](grpc::Status status) mutable {
            loop.post([deliver, status]() mutable { deliver(status); });
            calls->end(context);
        });
}

void AgentLink::configure(const v1::ConfigureRequest& request, Done done)
{
    call<v1::ConfigureRequest, v1::ConfigureResponse>(
        &v1::Agent::StubInterface::async_interface::Configure, request, 10s,
        [done = std::move(done)](Result<v1::ConfigureResponse> r) {
            done(r ? Result<>{} : tl::unexpected(r.error()));
        });
}

void AgentLink::setLiveRestore(bool enabled, Done done)
{
    v1::SetLiveRestoreRequest request;
    request.set_enabled(enabled);
    call<v1::SetLiveRestoreRequest, v1::SetLiveRestoreResponse>(
        &v1::Agent::StubInterface::async_interface::SetLiveRestore, request, 10s,
        [done = std::move(done)](Result<v1::SetLiveRestoreResponse> r) {
            done(r ? Result<>{} : tl::unexpected(r.error()));
        });
}

void AgentLink::shutdown(Done done)
{
    call<v1::ShutdownRequest, v1::ShutdownResponse>(
        &v1::Agent::StubInterface::async_interface::Shutdown, {}, 30s,
        [done = std::move(done)](Result<v1::ShutdownResponse> r) {
            done(r ? Result<>{} : tl::unexpected(r.error()));
        });
}

void AgentLink::usage(UsageDone done)
{
    call<v1::GetUsageRequest, v1::GetUsageResponse>(
        &v1::Agent::StubInterface::async_interface::GetUsage, {}, 1s, std::move(done));
}

void AgentLink::answerPort(const v1::PortDecision& decision)
{
    if (m_ports) m_ports->write(decision);
}

void AgentLink::watchEngine()
{
    auto report = m_alive.wrap([this](const v1::EngineReport& r) { m_listeners.engine(r); });
    auto ended = m_alive.wrap([this](const grpc::Status& status) { lose(fromStatus(status)); });
    new EngineStream(
        *m_stub, m_calls,
        [&loop = m_loop, report](v1::EngineReport r) {
            loop.post([report, r = std::move(r)]() mutable { report(r); });
        },
        [&loop = m_loop, ended](grpc::Status s) { loop.post([ended, s]() mutable { ended(s); }); });
}

void AgentLink::watchPorts()
{
    auto claimed = m_alive.wrap([this](const v1::PortRequest& r) { m_listeners.port(r); });
    auto ended = m_alive.wrap([this](const grpc::Status& status) { lose(fromStatus(status)); });
    m_ports = std::make_shared<PortStream>(
        *m_stub, m_calls,
        [&loop = m_loop, claimed](v1::PortRequest r) {
            loop.post([claimed, r = std::move(r)]() mutable { claimed(r); });
        },
        [&loop = m_loop, ended](grpc::Status s) { loop.post([ended, s]() mutable { ended(s); }); });
    m_ports->start(m_ports);
}

void AgentLink::lose(const Error& error)
{
    m_ports.reset();
    for (auto& [number, answer] : std::exchange(m_unanswered, {})) answer(error);
    if (auto lost = std::exchange(m_listeners.lost, nullptr)) lost(error);
}

}  // namespace slipway
