// What the command line asks of the bridge, each call blocking until it is done.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "shared/paths/home.h"
#include "shared/proto/bridge.grpc.pb.h"

namespace slipway {

// What is said of a bridge that runs and does not answer, and what can be done about it.
struct Silence {
    std::string text;
    std::string remedy;
};
Silence silenceOfBridge(const Home& home);

class BridgeSession {
public:
    explicit BridgeSession(const Home& home);

    // The whole state now; none when no bridge runs. DeadlineExceeded, with the silence's words:
    // one runs and does not answer.
    Result<std::optional<v1::State>> state();

    // Each state from now on, until the bridge ends; at once when none runs.
    Result<> watch(const std::function<void(const v1::State&)>& each);

    Result<bool> launchIfAbsent();  // True: it was launched by this.

    // These show their progress on standard error: one line on a terminal, else a line a step.
    Result<> startEngine();
    Result<> restartEngine();
    Result<> reset();
    Result<> setTcpEndpoint(const v1::SetTcpEndpointRequest& request);
    Result<> setEgress(const std::string& mode);
    Result<> useEngine(const std::string& name);

    // An empty host: there is no Windows engine any more.
    Result<> setWindowsEngine(const std::string& host, const std::string& tlsFolder);

    // Stops the engine and the machine, ends the bridge, and returns once its process is gone. No
    // bridge is no error.
    Result<> stop();

private:
    template <class Request, class Response>
    Result<> call(const std::string& what,
                  grpc::Status (v1::Bridge::Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                  const Request& request);

    Home m_home;
    std::shared_ptr<grpc::Channel> m_channel;
    std::unique_ptr<v1::Bridge::Stub> m_stub;
};

}  // namespace slipway
