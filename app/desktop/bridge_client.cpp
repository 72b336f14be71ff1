#include "app/desktop/bridge_client.h"

#include "app/launcher/bridge_channel.h"
#include "shared/rpc/calls_under_way.h"
#include "shared/rpc/status.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kFirstWait{250};
constexpr std::chrono::milliseconds kLongestWait{4000};

}  // namespace

// One stream of states; deletes itself when gRPC is done with it.
class BridgeClient::Watch final : public grpc::ClientReadReactor<v1::State> {
public:
    explicit Watch(BridgeClient& owner)
        : m_owner(owner), m_calls(owner.m_calls), m_context(m_calls->begin())
    {
        m_owner.m_stub->async()->WatchState(m_context, &m_request, this);
        StartRead(&m_state);
        StartCall();
    }

    void OnReadDone(bool ok) override
    {
        if (!ok) return;
        QMetaObject::invokeMethod(
            &m_owner,
            [owner = &m_owner, state = m_state] {
                owner->m_wait = kFirstWait;
                owner->m_state = state;
                emit owner->stateChanged();
            },
            Qt::QueuedConnection);
        StartRead(&m_state);
    }

    void OnDone(const grpc::Status&) override
    {
        QMetaObject::invokeMethod(
            &m_owner, [owner = &m_owner] { owner->watchEnded(); }, Qt::QueuedConnection);
        auto calls = m_calls;
        auto* context = m_context;
        delete this;
        calls->end(context);
    }

private:
    BridgeClient& m_owner;
    std::shared_ptr<CallsUnderWay> m_calls;
    grpc::ClientContext* m_context;
    v1::WatchStateRequest m_request;
    v1::State m_state;
};

BridgeClient::BridgeClient(const Home& home)
    : m_channel(bridgeChannel(home)),
      m_stub(v1::Bridge::NewStub(m_channel)),
      m_calls(std::make_shared<CallsUnderWay>()),
      m_wait(kFirstWait)
{
    m_again.setSingleShot(true);
    connect(&m_again, &QTimer::timeout, this, &BridgeClient::openWatch);
    openWatch();
}

BridgeClient::~BridgeClient()
{
    m_calls->cancelAndWait();
}

void BridgeClient::openWatch()
{
    if (m_watching) return;
    m_watching = true;
    new Watch(*this);
}

void BridgeClient::watchEnded()
{
    m_watching = false;
    m_again.start(m_wait);
    m_wait = std::min(m_wait * 2, kLongestWait);
    bool lost = m_state.has_value();
    m_state.reset();
    if (lost) emit stateChanged();
}

void BridgeClient::watchNow()
{
    m_wait = kFirstWait;
    m_again.stop();
    openWatch();
}

template <class Request, class Response>
void BridgeClient::call(void (v1::Bridge::StubInterface::async_interface::*method)(
                            grpc::ClientContext*, const Request*, Response*,
                            std::function<void(grpc::Status)>),
                        const Request& request, Done done)
{
    struct Call {
        Request request;
        Response response;
    };
    auto* context = m_calls->begin();
    auto made = std::make_shared<Call>(Call{request, {}});
    auto finished = [this, made, context, done = std::move(done),
                     calls = m_calls](const grpc::Status& status) {
        Result<> result;
        if (!status.ok()) result = tl::unexpected(fromStatus(status));
        QMetaObject::invokeMethod(
            this, [done, result = std::move(result)] { done(result); }, Qt::QueuedConnection);
        calls->end(context);
    };
    (m_stub->async()->*method)(context, &made->request, &made->response, std::move(finished));
}

void BridgeClient::startEngine(Done done)
{
    call<v1::StartEngineRequest, v1::StartEngineResponse>(
        &v1::Bridge::StubInterface::async_interface::StartEngine, {}, std::move(done));
}

void BridgeClient::stopEngine(Done done)
{
    call<v1::StopEngineRequest, v1::StopEngineResponse>(
        &v1::Bridge::StubInterface::async_interface::StopEngine, {}, std::move(done));
}

void BridgeClient::restartEngine(Done done)
{
    call<v1::RestartEngineRequest, v1::RestartEngineResponse>(
        &v1::Bridge::StubInterface::async_interface::RestartEngine, {}, std::move(done));
}

void BridgeClient::useEngine(const QString& name, Done done)
{
    v1::UseEngineRequest request;
    request.set_name(name.toStdString());
    call<v1::UseEngineRequest, v1::UseEngineResponse>(
        &v1::Bridge::StubInterface::async_interface::UseEngine, request, std::move(done));
}

void BridgeClient::quit(Done done)
{
    v1::QuitRequest request;
    request.set_stop_engine(true);
    call<v1::QuitRequest, v1::QuitResponse>(&v1::Bridge::StubInterface::async_interface::Quit,
                                            request, std::move(done));
}

}  // namespace slipway
