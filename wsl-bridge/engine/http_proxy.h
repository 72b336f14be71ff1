// One client's HTTP/1.x connection to the engine.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "shared/http/http_stream.h"
#include "shared/io/relay.h"
#include "wsl-bridge/engine/api_edits.h"
#include "wsl-bridge/engine/engine_reach.h"
#include "wsl-bridge/engine/proxy_context.h"

namespace slipway {

class HttpProxy {
public:
    // `ended` is called once; it may destroy the proxy.
    HttpProxy(ChooseEngine choose, StreamPtr client, std::function<void()> ended);
    ~HttpProxy();
    void start();

private:
    // The request's way.
    void readRequest();
    void gotRequest(Result<std::string> text);
    void holdRequest();
    void heldRequest(Result<http::BodyCollector::Body> body);
    void prepare(std::string body);
    void reachEngine();
    void forward();
    void moveRequestBody(std::string head);
    void requestSent();
    void requestBroken();

    // The answer's way.
    void readAnswer();
    void gotAnswer(Result<std::string> text);
    void holdAnswer(http::Framing framing);
    void heldAnswer(Result<http::BodyCollector::Body> body);
    void editAnswerLines(http::Framing framing);
    void moveAnswerBody(std::string head, http::BodyScanner scanner,
                        http::LineEditor::Edit edit = nullptr);
    void engineBroke(const Error& error);
    void answerSent();
    void relayRaw();

    // The end.
    void refuse(unsigned status, const std::string& message);
    void linger();
    void discard();
    void finish();
    void toClient(std::string text, std::function<void()> then);

    ChooseEngine m_choose;
    std::shared_ptr<ProxyContext> m_context;  // Of the request in hand.
    std::function<void()> m_ended;
    std::unique_ptr<http::HttpStream> m_client;
    std::unique_ptr<http::HttpStream> m_engine;  // Kept for the next request.
    std::unique_ptr<Relay> m_relay;
    Timer m_limit;  // Of a head that has begun, and of the wait for the client's end.

    // Of the request in hand.
    http::RequestHead m_request;
    http::ResponseHead m_answer;
    std::unique_ptr<ApiEdits> m_edits;
    std::unique_ptr<http::HeadReader> m_requestReader;
    std::unique_ptr<http::BodyCollector> m_requestHolder;
    std::unique_ptr<EngineReach> m_reach;
    std::unique_ptr<http::BodyPump> m_requestPump;
    std::unique_ptr<http::HeadReader> m_answerReader;
    std::unique_ptr<http::BodyCollector> m_answerHolder;
    std::unique_ptr<http::BodyPump> m_answerPump;
    bool m_held = false;         // The request's body is taken whole before it goes on.
    std::string m_toEngine;      // Being written.
    std::string m_toClient;      // Being written.
    bool m_clientBusy = false;   // m_toClient or a body is being written to the client.
    bool m_requestSent = false;  // To its last byte.
    bool m_requestBroken = false;
    bool m_answerBegun = false;  // The client has seen some of it; 1xx do not count.
    bool m_answerSent = false;   // To its last byte.
    bool m_rawNext = false;      // As soon as the request is sent.
    Alive m_alive;
};

}  // namespace slipway
