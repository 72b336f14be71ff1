#include "app/cli/bridge_session.h"

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "shared/process/process_facts.h"
#include "app/cli/progress.h"
#include "app/launcher/bridge_channel.h"
#include "app/launcher/bridge_launcher.h"
#include "app/launcher/bridge_process.h"
#include "shared/rpc/status.h"

namespace slipway {
namespace {

using Clock = std::chrono::system_clock;

constexpr std::chrono::seconds kStateWithin{5};
constexpr std::chrono::seconds kEndsWithin{10};
constexpr std::chrono::milliseconds kLookEvery{20};

pid_t bridgePid(const v1::State& state)
{
    for (const auto& process : state.processes())
        if (process.name() == "slipway-bridge") return static_cast<pid_t>(process.pid());
    return 0;
}

Result<> resultOf(std::string_view what, const grpc::Status& status)
{
    if (status.ok()) return {};
    return tl::unexpected(context(what, fromStatus(status)));
}

}  // namespace

BridgeSession::BridgeSession(const Home& home)
    : m_home(home), m_channel(bridgeChannel(home)), m_stub(v1::Bridge::NewStub(m_channel))
{
}

Silence silenceOfBridge(const Home& home)
{
    pid_t pid = bridgeProcess(home).value_or(0);
    return {pid ? fmt::format("the bridge (pid {}) has not answered for {} s", pid,
                              kStateWithin.count())
                : fmt::format("the bridge has not answered for {} s", kStateWithin.count()),
            fmt::format("wait if this host is busy; else {}, then slipway start: containers go on",
                        pid ? fmt::format("kill -9 {}", pid) : "end slipway-bridge by hand")};
}

Result<std::optional<v1::State>> BridgeSession::state()
{
    auto deadline = Clock::now() + kStateWithin;
    for (;;) {
        grpc::ClientContext call;
        call.set_deadline(deadline);
        auto stream = m_stub->WatchState(&call, {});
        v1::State state;
        if (stream->Read(&state)) {
            call.TryCancel();
            return state;
        }
        auto status = stream->Finish();
        bool notThere = status.error_code() == grpc::StatusCode::UNAVAILABLE;
        if (!notThere && status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED)
            return tl::unexpected(context("ask the bridge for its state", fromStatus(status)));
        // One that runs and does not listen is about to, or about to end.
        if (notThere && !bridgeProcess(m_home)) return std::nullopt;
        if (Clock::now() >= deadline) break;
        std::this_thread::sleep_for(kLookEvery);
    }
    auto silence = silenceOfBridge(m_home);
    return fail(Code::DeadlineExceeded, fmt::format("{}; {}", silence.text, silence.remedy));
}

Result<> BridgeSession::watch(const std::function<void(const v1::State&)>& each)
{
    grpc::ClientContext call;
    auto stream = m_stub->WatchState(&call, {});
    for (v1::State state; stream->Read(&state);) each(state);
    auto status = stream->Finish();
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return {};
    return resultOf("watch the bridge's state", status);
}

Result<bool> BridgeSession::launchIfAbsent()
{
    TRY(auto now, state());
    if (now) return false;
    TRY_VOID(launchBridge(m_home, *m_channel));
    return true;
}

template <class Request, class Response>
Result<> BridgeSession::call(const std::string& what,
                             grpc::Status (v1::Bridge::Stub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                             const Request& request)
{
    Progress progress(*m_stub);
    grpc::ClientContext context;
    Response response;
    return resultOf(what, (m_stub.get()->*method)(&context, request, &response));
}

Result<> BridgeSession::startEngine()
{
    return call("start", &v1::Bridge::Stub::StartEngine, {});
}

Result<> BridgeSession::restartEngine()
{
    return call("restart", &v1::Bridge::Stub::RestartEngine, {});
}

Result<> BridgeSession::reset()
{
    return call("reset", &v1::Bridge::Stub::Reset, {});
}

Result<> BridgeSession::setTcpEndpoint(const v1::SetTcpEndpointRequest& request)
{
    return call("endpoint over TCP", &v1::Bridge::Stub::SetTcpEndpoint, request);
}

Result<> BridgeSession::setEgress(const std::string& mode)
{
    v1::SetEgressRequest request;
    request.set_mode(mode);
    return call("egress", &v1::Bridge::Stub::SetEgress, request);
}

Result<> BridgeSession::useEngine(const std::string& name)
{
    v1::UseEngineRequest request;
    request.set_name(name);
    return call("use the " + name + " engine", &v1::Bridge::Stub::UseEngine, request);
}

Result<> BridgeSession::setWindowsEngine(const std::string& host, const std::string& tlsFolder)
{
    v1::SetWindowsEngineRequest request;
    request.set_host(host);
    request.set_tls_folder(tlsFolder);
    return call("set the Windows engine", &v1::Bridge::Stub::SetWindowsEngine, request);
}

Result<> BridgeSession::stop()
{
    TRY(auto before, state());
    if (!before) return {};
    {
        Progress progress(*m_stub);
        grpc::ClientContext call;
        v1::QuitRequest request;
        request.set_stop_engine(true);
        v1::QuitResponse response;
        auto status = m_stub->Quit(&call, request, &response);
        // A bridge that ends may close the connection before its answer is through: what counts is
        // below.
        if (status.error_code() != grpc::StatusCode::UNAVAILABLE)
            TRY_VOID(resultOf("stop", status));
    }
    pid_t pid = bridgePid(*before);
    auto deadline = Clock::now() + kEndsWithin;
    while (Clock::now() < deadline) {
        bool connected = m_channel->GetState(false) == GRPC_CHANNEL_READY;
        if (!connected && !(pid && isRunning(pid))) return {};
        // A channel notices nothing unless somebody waits on it.
        if (connected)
            m_channel->WaitForStateChange(GRPC_CHANNEL_READY, Clock::now() + kLookEvery);
        else
            std::this_thread::sleep_for(kLookEvery);
    }
    return fail(
        Code::DeadlineExceeded,
        fmt::format("the bridge (pid {}) is still there {} s after it was told to end; see {}", pid,
                    kEndsWithin.count(), (m_home.logDir() / "bridge.log").string()));
}

}  // namespace slipway
