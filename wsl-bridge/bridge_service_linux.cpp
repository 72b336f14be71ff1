// Theory of operation. gRPC's threads only carry calls to the loop and answers back. A unary call is one
// post and one Finish. A watcher keeps at most one state to be sent: a slow one misses what lay between,
// never the last. gRPC deletes nothing of ours: a reactor deletes itself in OnDone, which comes after
// everything else that gRPC has to say about it.
#include "wsl-bridge/bridge_service.h"

#include <mutex>
#include <optional>

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

class Watcher final : public grpc::ServerWriteReactor<v1::State> {
public:
    Watcher(Loop& loop, Bridge& bridge) : m_loop(loop), m_bridge(bridge)
    {
        m_loop.post([this] {
            m_subscription = m_bridge.watch([this](const v1::State& state) { send(state); });
        });
    }

    void OnWriteDone(bool ok) override
    {
        std::lock_guard lock(m_mutex);
        m_writing.reset();
        if (ok && !m_finished) writeNext();
    }

    void OnCancel() override { finish(); }

    // The subscription is dropped on the loop, behind the post that made it.
    void OnDone() override
    {
        m_loop.post([this] { delete this; });
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

    void finish()
    {
        std::lock_guard lock(m_mutex);
        if (std::exchange(m_finished, true)) return;
        Finish(grpc::Status::OK);
    }

    Loop& m_loop;
    Bridge& m_bridge;
    Bridge::Subscription m_subscription;
    std::mutex m_mutex;
    std::optional<v1::State> m_writing;  // These three guarded by m_mutex.
    std::optional<v1::State> m_next;
    bool m_finished = false;
};

class Service final : public v1::Bridge::CallbackService {
public:
    Service(Loop& loop, Bridge& bridge) : m_loop(loop), m_bridge(bridge) {}

    grpc::ServerWriteReactor<v1::State>* WatchState(grpc::CallbackServerContext*,
                                                    const v1::WatchStateRequest*) override
    {
        return new Watcher(m_loop, m_bridge);
    }

    grpc::ServerUnaryReactor* StartEngine(grpc::CallbackServerContext* context,
                                          const v1::StartEngineRequest*,
                                          v1::StartEngineResponse*) override
    {
        return carryOut(context, [this](Bridge::Done done) { m_bridge.lifecycle().start(std::move(done)); });
    }

    grpc::ServerUnaryReactor* StopEngine(grpc::CallbackServerContext* context,
                                         const v1::StopEngineRequest*,
                                         v1::StopEngineResponse*) override
    {
        return carryOut(context, [this](Bridge::Done done) { m_bridge.lifecycle().stop(std::move(done)); });
    }

    grpc::ServerUnaryReactor* RestartEngine(grpc::CallbackServerContext* context,
                                            const v1::RestartEngineRequest*,
                                            v1::RestartEngineResponse*) override
    {
        return carryOut(context, [this](Bridge::Done done) { m_bridge.lifecycle().restart(std::move(done)); });
    }

    grpc::ServerUnaryReactor* Reset(grpc::CallbackServerContext* context, const v1::ResetRequest*,
                                    v1::ResetResponse*) override
    {
        return carryOut(context, [this](Bridge::Done done) { m_bridge.lifecycle().reset(std::move(done)); });
    }

    grpc::ServerUnaryReactor* Quit(grpc::CallbackServerContext* context,
                                   const v1::QuitRequest* request, v1::QuitResponse*) override
    {
        return carryOut(context, [this, stop = request->stop_engine()](Bridge::Done done) {
            m_bridge.quit(stop, std::move(done));
        });
    }

private:
    grpc::ServerUnaryReactor* carryOut(grpc::CallbackServerContext* context,
                                       std::function<void(Bridge::Done)> work)
    {
        auto* reactor = context->DefaultReactor();
        m_loop.post([reactor, work = std::move(work)] {
            work([reactor](Result<> result) { reactor->Finish(toStatus(result)); });
        });
        return reactor;
    }

    Loop& m_loop;
    Bridge& m_bridge;
};

class RunningService final : public BridgeService {
public:
    RunningService(Loop& loop, Bridge& bridge) : m_service(loop, bridge) {}
    ~RunningService() override
    {
        if (m_server) m_server->Shutdown(std::chrono::system_clock::now());
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
