// Theory of operation. gRPC's threads only carry calls to the loop and answers back. A unary call
// is one post and one Finish. A watcher keeps at most one state to be sent: a slow one misses what
// lay between, never the last. gRPC's server can't be shut down while a call is open, and the
// bridge may be told to end in the midst of any, so OpenCalls holds every call until gRPC is done
// with it, and ends them all.
#include "wsl-bridge/bridge_service.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "shared/core/folder_owner.h"
#include "shared/proto/bridge.grpc.pb.h"
#include "shared/rpc/status.h"
#include "wsl-bridge/bridge.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kAnswersLeaveWithin{1};

class OpenCall {
public:
    virtual ~OpenCall() = default;
    virtual void end(
        const grpc::Status& status) = 0;  // Unless it has ended already. From any thread.
};

class OpenCalls {
public:
    void add(std::shared_ptr<OpenCall> call)
    {
        std::unique_lock lock(m_mutex);
        m_calls.insert(call);
        if (!m_end) return;
        lock.unlock();
        call->end(*m_end);
    }
    void remove(const std::shared_ptr<OpenCall>& call)
    {
        std::lock_guard lock(m_mutex);
        m_calls.erase(call);
    }
    void endAll(const grpc::Status& status)  // And those yet to come.
    {
        std::unique_lock lock(m_mutex);
        m_end = status;
        auto calls = m_calls;
        lock.unlock();
        for (const auto& call : calls) call->end(status);
    }

private:
    std::mutex m_mutex;
    std::set<std::shared_ptr<OpenCall>>
        m_calls;  // These two guarded by m_mutex; m_end is set once.
    std::optional<grpc::Status> m_end;
};

class UnaryCall final : public grpc::ServerUnaryReactor,
                        public OpenCall,
                        public std::enable_shared_from_this<UnaryCall> {
public:
    explicit UnaryCall(OpenCalls& calls) : m_calls(calls) {}

    void end(const grpc::Status& status) override
    {
        if (!m_ended.exchange(true)) Finish(status);
    }

    void OnDone() override { m_calls.remove(shared_from_this()); }

private:
    OpenCalls& m_calls;
    std::atomic<bool> m_ended = false;
};

class Watcher final : public grpc::ServerWriteReactor<v1::State>,
                      public OpenCall,
                      public std::enable_shared_from_this<Watcher> {
public:
    Watcher(Loop& loop, OpenCalls& calls) : m_loop(loop), m_calls(calls) {}

    void begin(Bridge& bridge)
    {
        m_loop.post([self = shared_from_this(), &bridge] {
            self->m_subscription =
                bridge.watch([raw = self.get()](const v1::State& state) { raw->send(state); });
        });
    }

    void OnWriteDone(bool ok) override
    {
        std::lock_guard lock(m_mutex);
        m_writing.reset();
        if (ok && !m_finished) writeNext();
    }

    void end(const grpc::Status& status) override
    {
        std::lock_guard lock(m_mutex);
        if (!std::exchange(m_finished, true)) Finish(status);
    }

    void OnCancel() override { end(grpc::Status::CANCELLED); }

    // The subscription is dropped on the loop, behind the post that made it.
    void OnDone() override
    {
        auto self = shared_from_this();
        m_calls.remove(self);
        m_loop.post([self] {});
    }

private:
    void send(const v1::State& state)
    {
        std::lock_guard lock(m_mutex);
        if (m_finished) return;
        m_next = state;
        if (!m_writing) writeNext();
    }

    void writeNext()
    {
        if (!m_next) return;
        m_writing = std::move(m_next);
        m_next.reset();
        StartWrite(&*m_writing);
    }

    Loop& m_loop;
    OpenCalls& m_calls;
    Bridge::Subscription m_subscription;
    std::mutex m_mutex;
    std::optional<v1::State> m_writing;  // These three guarded by m_mutex.
    std::optional<v1::State> m_next;
    bool m_finished = false;
};

class Service final : public v1::Bridge::CallbackService {
public:
    Service(Loop& loop, Bridge& bridge, OpenCalls& calls)
        : m_loop(loop), m_bridge(bridge), m_calls(calls)
    {
    }

    grpc::ServerWriteReactor<v1::State>* WatchState(grpc::CallbackServerContext*,
                                                    const v1::WatchStateRequest*) override
    {
        auto watcher = std::make_shared<Watcher>(m_loop, m_calls);
        m_calls.add(watcher);
        watcher->begin(m_bridge);
        return watcher.get();
    }

    grpc::ServerUnaryReactor* StartEngine(grpc::CallbackServerContext*,
                                          const v1::StartEngineRequest*,
                                          v1::StartEngineResponse*) override
    {
        return carryOut([this](Bridge::Done done) { m_bridge.lifecycle().start(std::move(done)); });
    }

    grpc::ServerUnaryReactor* StopEngine(grpc::CallbackServerContext*, const v1::StopEngineRequest*,
                                         v1::StopEngineResponse*) override
    {
        return carryOut([this](Bridge::Done done) { m_bridge.lifecycle().stop(std::move(done)); });
    }

    grpc::ServerUnaryReactor* RestartEngine(grpc::CallbackServerContext*,
                                            const v1::RestartEngineRequest*,
                                            v1::RestartEngineResponse*) override
    {
        return carryOut(
            [this](Bridge::Done done) { m_bridge.lifecycle().restart(std::move(done)); });
    }

    grpc::ServerUnaryReactor* Reset(grpc::CallbackServerContext*, const v1::ResetRequest*,
                                    v1::ResetResponse*) override
    {
        return carryOut([this](Bridge::Done done) { m_bridge.lifecycle().reset(std::move(done)); });
    }

    grpc::ServerUnaryReactor* UseEngine(grpc::CallbackServerContext*,
                                        const v1::UseEngineRequest* request,
                                        v1::UseEngineResponse*) override
    {
        return carryOut([this, engine = engineNamed(request->name())](Bridge::Done done) {
            if (!engine) return done(tl::unexpected(engine.error()));
            m_bridge.useEngine(*engine, std::move(done));
        });
    }

    grpc::ServerUnaryReactor* SetTcpEndpoint(grpc::CallbackServerContext*,
                                             const v1::SetTcpEndpointRequest* request,
                                             v1::SetTcpEndpointResponse*) override
    {
        std::optional<TcpSettings> tcp;
        if (!request->address().empty())
            tcp = {request->address(), static_cast<std::uint16_t>(request->port()), request->tls()};
        return carryOut([this, tcp = std::move(tcp)](Bridge::Done done) {
            m_bridge.setTcp(tcp, std::move(done));
        });
    }

    grpc::ServerUnaryReactor* SetEgress(grpc::CallbackServerContext*,
                                        const v1::SetEgressRequest* request,
                                        v1::SetEgressResponse*) override
    {
        return carryOut([this, mode = egressNamed(request->mode())](Bridge::Done done) {
            if (!mode) return done(tl::unexpected(mode.error()));
            m_bridge.setEgress(*mode, std::move(done));
        });
    }

    grpc::ServerUnaryReactor* SetWindowsEngine(grpc::CallbackServerContext*,
                                               const v1::SetWindowsEngineRequest* request,
                                               v1::SetWindowsEngineResponse*) override
    {
        std::optional<WindowsEngine> windows;
        if (!request->host().empty()) windows = {request->host(), request->tls_folder()};
        return carryOut([this, windows = std::move(windows)](Bridge::Done done) {
            m_bridge.setWindowsEngine(windows, std::move(done));
        });
    }

    grpc::ServerUnaryReactor* Quit(grpc::CallbackServerContext*, const v1::QuitRequest* request,
                                   v1::QuitResponse*) override
    {
        return carryOut([this, stop = request->stop_engine()](Bridge::Done done) {
            m_bridge.quit(stop, std::move(done));
        });
    }

private:
    grpc::ServerUnaryReactor* carryOut(std::function<void(Bridge::Done)> work)
    {
        auto call = std::make_shared<UnaryCall>(m_calls);
        m_calls.add(call);
        m_loop.post([call, work = std::move(work)] {
            work([call](Result<> result) { call->end(toStatus(result)); });
        });
        return call.get();
    }

    Loop& m_loop;
    Bridge& m_bridge;
    OpenCalls& m_calls;
};

class RunningService final : public BridgeService {
public:
    RunningService(Loop& loop, Bridge& bridge) : m_service(loop, bridge, m_calls) {}
    ~RunningService() override
    {
        m_calls.endAll({grpc::StatusCode::UNAVAILABLE,
                        "the bridge was told to end before this was done; see slipway status"});
        if (m_server) m_server->Shutdown(std::chrono::system_clock::now() + kAnswersLeaveWithin);
    }

    Result<> serve(const std::string& path)
    {
        ::unlink(path.c_str());  // The caller holds the lock of this home: nobody serves here.
        grpc::ServerBuilder builder;
        int selected = 0;
        builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials(), &selected);
        builder.RegisterService(&m_service);
        mode_t before = ::umask(0177);
        m_server = builder.BuildAndStart();
        ::umask(before);
        if (!m_server) return fail(Code::Unavailable, fmt::format("listen on {}", path));
        return {};
    }

private:
    OpenCalls m_calls;
    Service m_service;
    std::unique_ptr<grpc::Server> m_server;
};

}  // namespace

Result<std::unique_ptr<BridgeService>> BridgeService::start(Loop& loop, Bridge& bridge,
                                                            const Home& home)
{
    auto service = std::make_unique<RunningService>(loop, bridge);
    std::string path = home.bridgeSocket().string();
    TRY_VOID(service->serve(path));
    TRY_VOID(giveToFolderOwner(path));
    return service;
}

}  // namespace slipway
