#include "tests/fakes/fake_bridge.h"

#include <chrono>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

namespace slipway::test {
namespace {

constexpr std::chrono::milliseconds kLookForCancelEvery{20};
constexpr std::chrono::seconds kRepeatEvery{5};  // As the real one measures anew.

}  // namespace

FakeBridge::FakeBridge(const std::filesystem::path& socket)
{
    m_state.set_condition(v1::CONDITION_STOPPED);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket.string(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    m_server = builder.BuildAndStart();
}

FakeBridge::~FakeBridge()
{
    {
        std::lock_guard lock(m_mutex);
        m_closing = true;
    }
    m_changed.notify_all();
    m_server->Shutdown();
}

void FakeBridge::setState(const v1::State& state)
{
    std::lock_guard lock(m_mutex);
    m_state = state;
    ++m_revision;
    m_changed.notify_all();
}

void FakeBridge::failCallsWith(const grpc::Status& status)
{
    std::lock_guard lock(m_mutex);
    m_answer = status;
}

std::vector<std::string> FakeBridge::calls() const
{
    std::lock_guard lock(m_mutex);
    return m_calls;
}

void FakeBridge::waitForQuit()
{
    std::unique_lock lock(m_mutex);
    m_changed.wait(lock, [this] { return m_quit; });
}

grpc::Status FakeBridge::WatchState(grpc::ServerContext* call, const v1::WatchStateRequest*,
                                    grpc::ServerWriter<v1::State>* writer)
{
    int sent = -1;
    std::chrono::steady_clock::time_point repeatAt;
    std::unique_lock lock(m_mutex);
    while (!m_closing && !call->IsCancelled()) {
        if (sent != m_revision || std::chrono::steady_clock::now() > repeatAt) {
            v1::State state = m_state;
            sent = m_revision;
            repeatAt = std::chrono::steady_clock::now() + kRepeatEvery;
            lock.unlock();
            writer->Write(state);
            lock.lock();
        }
        m_changed.wait_for(lock, kLookForCancelEvery);
    }
    return grpc::Status::OK;
}

grpc::Status FakeBridge::note(const std::string& call, v1::Condition reached)
{
    std::lock_guard lock(m_mutex);
    m_calls.push_back(call);
    if (!m_answer.ok()) return m_answer;
    m_state.set_condition(reached);
    ++m_revision;
    m_changed.notify_all();
    return grpc::Status::OK;
}

grpc::Status FakeBridge::StartEngine(grpc::ServerContext*, const v1::StartEngineRequest*,
                                     v1::StartEngineResponse*)
{
    return note("StartEngine", v1::CONDITION_RUNNING);
}

grpc::Status FakeBridge::StopEngine(grpc::ServerContext*, const v1::StopEngineRequest*,
                                    v1::StopEngineResponse*)
{
    return note("StopEngine", v1::CONDITION_STOPPED);
}

grpc::Status FakeBridge::RestartEngine(grpc::ServerContext*, const v1::RestartEngineRequest*,
                                       v1::RestartEngineResponse*)
{
    return note("RestartEngine", v1::CONDITION_RUNNING);
}

grpc::Status FakeBridge::UseEngine(grpc::ServerContext*, const v1::UseEngineRequest* request,
                                   v1::UseEngineResponse*)
{
    {
        std::lock_guard lock(m_mutex);
        for (auto& engine : *m_state.mutable_engines())
            if (m_answer.ok()) engine.set_in_use(engine.name() == request->name());
    }
    return note("UseEngine " + request->name(), v1::CONDITION_RUNNING);
}

grpc::Status FakeBridge::SetWindowsEngine(grpc::ServerContext*,
                                          const v1::SetWindowsEngineRequest* request,
                                          v1::SetWindowsEngineResponse*)
{
    return note("SetWindowsEngine " + request->host(), v1::CONDITION_RUNNING);
}

grpc::Status FakeBridge::SetTcpEndpoint(grpc::ServerContext*,
                                        const v1::SetTcpEndpointRequest* request,
                                        v1::SetTcpEndpointResponse*)
{
    return note("SetTcpEndpoint " + request->address(), v1::CONDITION_RUNNING);
}

grpc::Status FakeBridge::Reset(grpc::ServerContext*, const v1::ResetRequest*, v1::ResetResponse*)
{
    return note("Reset", v1::CONDITION_STOPPED);
}

grpc::Status FakeBridge::Quit(grpc::ServerContext*, const v1::QuitRequest* request,
                              v1::QuitResponse*)
{
    auto status = note(request->stop_engine() ? "Quit stop_engine" : "Quit", v1::CONDITION_STOPPED);
    std::lock_guard lock(m_mutex);
    m_quit = status.ok();
    m_changed.notify_all();
    return status;
}

}  // namespace slipway::test
