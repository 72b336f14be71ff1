// The bridge as the desktop sees it: its state, always the newest, and calls that never block.
//
// Theory of operation: gRPC's own threads call back; what they bring is posted to the thread of
// this object, and only there is anything of it changed. The watch is opened again, later each
// time, for as long as no bridge answers. The destructor cancels what is under way and waits until
// gRPC has let go, so that no call can meet a dead object.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <grpcpp/channel.h>

#include "shared/paths/home.h"
#include "shared/proto/bridge.grpc.pb.h"

#include <QObject>
#include <QTimer>

namespace slipway {

class CallsUnderWay;

class BridgeClient final : public QObject {
    Q_OBJECT

public:
    explicit BridgeClient(const Home& home);
    ~BridgeClient() override;

    const std::optional<v1::State>& state() const { return m_state; }  // None: no bridge answers.
    const std::shared_ptr<grpc::Channel>& channel() const { return m_channel; }

    using Done = std::function<void(Result<>)>;  // Called on this object's thread.
    void startEngine(Done done);
    void stopEngine(Done done);
    void restartEngine(Done done);
    void useEngine(const QString& name, Done done);  // linux, windows
    void quit(Done done);                            // Ends engine, machine and bridge.

    void watchNow();  // A bridge has just been launched: no need to wait any longer.

signals:
    void stateChanged();  // Also where the same has been told again, as a living bridge does.

private:
    class Watch;

    void openWatch();
    void watchEnded();
    template <class Request, class Response>
    void call(void (v1::Bridge::StubInterface::async_interface::*method)(
                  grpc::ClientContext*, const Request*, Response*,
                  std::function<void(grpc::Status)>),
              const Request& request, Done done);

    std::shared_ptr<grpc::Channel> m_channel;
    std::unique_ptr<v1::Bridge::Stub> m_stub;
    std::shared_ptr<CallsUnderWay> m_calls;
    std::optional<v1::State> m_state;
    QTimer m_again;
    std::chrono::milliseconds m_wait;
    bool m_watching = false;
};

}  // namespace slipway
