// The bridge's end of the control stream: gRPC to the agent, answered on the bridge's loop.
//
// Theory of operation. A link is made from one connected control stream and lasts as long as it
// does: gRPC never re-dials a descriptor. gRPC's own threads call back; everything is posted to the
// loop, and nothing is delivered once the link is destroyed. While it lives every call is answered:
// what is open when the stream ends fails before `lost` is told. Its destructor cancels what is
// under way and waits for gRPC to have let go, which needs no turn of the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/io/loop.h"
#include "shared/proto/agent.grpc.pb.h"

namespace slipway {

class CallsUnderWay;
class PortStream;

class AgentLink {
public:
    struct Listeners {
        std::function<void(const v1::EngineReport&)> engine;
        std::function<void(const v1::PortRequest&)> port;
        std::function<void(Error)> lost;  // Once; it may destroy the link.
    };
    AgentLink(Loop& loop, Descriptor control, Listeners listeners);
    ~AgentLink();

    using Done = std::function<void(Result<>)>;
    void configure(const v1::ConfigureRequest& request, Done done);
    void setLiveRestore(bool enabled, Done done);
    void shutdown(Done done);

    using UsageDone = std::function<void(Result<v1::GetUsageResponse>)>;
    void usage(UsageDone done);

    void answerPort(const v1::PortDecision& decision);

private:
    // One unary call, with a limit; `done` comes on the loop.
    template <class Request, class Response>
    void call(void (v1::Agent::StubInterface::async_interface::*method)(
                  grpc::ClientContext*, const Request*, Response*,
                  std::function<void(grpc::Status)>),
              const Request& request, std::chrono::milliseconds limit,
              std::function<void(Result<Response>)> done);
    void watchEngine();
    void watchPorts();
    void lose(const Error& error);

    Loop& m_loop;
    Listeners m_listeners;
    std::shared_ptr<CallsUnderWay> m_calls;
    std::shared_ptr<grpc::Channel> m_channel;
    std::unique_ptr<v1::Agent::StubInterface> m_stub;
    std::shared_ptr<PortStream> m_ports;
    std::map<unsigned, std::function<void(const Error&)>>
        m_unanswered;  // By the number of the call.
    unsigned m_lastCall = 0;
    Alive m_alive;  // Last: dies first, so nothing is delivered to a half-dead link.
};

}  // namespace slipway
