// A bridge with no machine behind it: it serves the State a test has set and notes what it was
// asked.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "shared/proto/bridge.grpc.pb.h"

namespace slipway::test {

class FakeBridge final : public v1::Bridge::Service {
public:
    // Listens on `socket`; its folder must be there.
    explicit FakeBridge(const std::filesystem::path& socket);
    ~FakeBridge() override;

    void setState(const v1::State& state);
    void failCallsWith(const grpc::Status& status);  // Of every call but WatchState.
    std::vector<std::string> calls() const;          // "StartEngine", "Quit stop_engine" …
    void waitForQuit();                              // Until a Quit has been asked for.

    grpc::Status WatchState(grpc::ServerContext*, const v1::WatchStateRequest*,
                            grpc::ServerWriter<v1::State>*) override;
    grpc::Status StartEngine(grpc::ServerContext*, const v1::StartEngineRequest*,
                             v1::StartEngineResponse*) override;
    grpc::Status StopEngine(grpc::ServerContext*, const v1::StopEngineRequest*,
                            v1::StopEngineResponse*) override;
    grpc::Status RestartEngine(grpc::ServerContext*, const v1::RestartEngineRequest*,
                               v1::RestartEngineResponse*) override;
    // The state's engine of that name is in use then.
    grpc::Status UseEngine(grpc::ServerContext*, const v1::UseEngineRequest*,
                           v1::UseEngineResponse*) override;
    grpc::Status SetWindowsEngine(grpc::ServerContext*, const v1::SetWindowsEngineRequest*,
                                  v1::SetWindowsEngineResponse*) override;
    grpc::Status SetTcpEndpoint(grpc::ServerContext*, const v1::SetTcpEndpointRequest*,
                                v1::SetTcpEndpointResponse*) override;
    grpc::Status Reset(grpc::ServerContext*, const v1::ResetRequest*, v1::ResetResponse*) override;
    grpc::Status Quit(grpc::ServerContext*, const v1::QuitRequest*, v1::QuitResponse*) override;

private:
    // Notes the call; the state is then what the call would have reached.
    grpc::Status note(const std::string& call, v1::Condition reached);

    mutable std::mutex m_mutex;
    std::condition_variable m_changed;
    v1::State m_state;  // This and the rest are guarded by m_mutex.
    int m_revision = 0;
    bool m_closing = false;
    bool m_quit = false;
    grpc::Status m_answer;
    std::vector<std::string> m_calls;
    std::unique_ptr<grpc::Server> m_server;
};

}  // namespace slipway::test
