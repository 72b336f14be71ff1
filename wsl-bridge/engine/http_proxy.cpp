// Theory of operation. Requests are taken one at a time; what a client sends ahead stays in its
// buffers. Each exchange has two ways that run side by side, as an engine may answer before it has
// all of the request:
//
//   request: read head -> (hold body, edit it) -> reach the engine -> write head -> move body ->
//   sent answer:  read head -> 1xx: pass it on, read the next head
//                      -> 101, or a body until close: raw relay, both ways, for good
//                      -> (hold body, edit it) or move body (edit its lines) -> sent
//
// When both are sent the next request is read; it goes over the same connection, unless another
// engine has been chosen meanwhile. A client that leaves then leaves the connection to the next.
// Bodies are moved one read and one write at a time, so memory is two buffers for however long a
// stream stays open. One that comes with an upgrade is held as well: dockerd takes the connection
// over without reading it, so that what follows the head later would be a container's input. Once
// the request is sent the client is watched: its half-close is passed on (dockerd then cancels the
// call, as it would on a direct connection), its reset ends the exchange. An engine that leaves
// before it has answered is a 502. A head that has begun must end within a time limit; a connection
// that is silent between requests may stay so for days. Whatever ends the connection early is
// followed by a short wait for the client's own end, so that a client still sending can read the
// answer instead of a reset.
#include "wsl-bridge/engine/http_proxy.h"

#include <fmt/format.h>

#include "shared/core/log.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kLinger{2000};

unsigned statusOf(const Error& error)
{
    switch (error.code) {
        case Code::InvalidArgument:
            return 400;
        case Code::PermissionDenied:
            return 403;
        case Code::ResourceExhausted:
            return 413;
        case Code::Unavailable:
            return 503;
        default:
            return 500;  // Never 404: to clients that means a missing image, which they pull.
    }
}

std::string_view reasonOf(unsigned status)
{
    switch (status) {
        case 400:
            return "Bad Request";
        case 403:
            return "Forbidden";
        case 408:
            return "Request Timeout";
        case 413:
            return "Content Too Large";
        case 431:
            return "Request Header Fields Too Large";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        default:
            return "Internal Server Error";
    }
}

}  // namespace

HttpProxy::HttpProxy(ChooseEngine choose, StreamPtr client, std::function<void()> ended)
    : m_choose(std::move(choose)),
      m_context(m_choose()),
      m_ended(std::move(ended)),
      m_client(std::make_unique<http::HttpStream>(m_context->loop, std::move(client))),
      m_limit(m_context->loop)
{
}

HttpProxy::~HttpProxy() = default;

void HttpProxy::start()
{
    readRequest();
}

void HttpProxy::readRequest()
{
    m_request = {};
    m_answer = {};
    m_requestSent = m_requestBroken = m_answerBegun = m_answerSent = m_rawNext = false;
    if (m_engine) m_engine->watch([this](Result<>) { m_engine.reset(); });
    m_requestReader = std::make_unique<http::HeadReader>(
        *m_client, [this](Result<std::string> text) { gotRequest(std::move(text)); },
        [this] {
            m_limit.after(m_context->options.headLimit, [this] {
                m_requestReader.reset();
                refuse(408, "the request's head did not come to its end in time");
            });
        });
}

void HttpProxy::gotRequest(Result<std::string> text)
{
    m_limit.stop();
    if (!text && text.error().code == Code::ResourceExhausted)
        return refuse(431, text.error().message);
    if (!text || text->empty()) {
        if (m_engine) m_context->idle.keep(std::move(m_engine));
        return finish();
    }
    auto head = http::parseRequest(*text);
    if (!head) return refuse(400, head.error().message);
    m_request = std::move(*head);
    auto chosen = m_choose();
    if (chosen != m_context) m_engine.reset();  // That is the one before's.
    m_edits.reset();
    m_context = std::move(chosen);
    m_edits = std::make_unique<ApiEdits>(*m_context, m_request);
    bool hasBody = http::framingOf(m_request).kind != http::Framing::Kind::None;
    m_held = m_edits->holdsRequest() || (hasBody && m_request.find("Upgrade"));
    if (m_held && hasBody) return holdRequest();
    prepare({});
}

void HttpProxy::holdRequest()
{
    m_requestHolder = std::make_unique<http::BodyCollector>(
        *m_client, http::framingOf(m_request), ApiEdits::kMaxHeldBytes,
        [this](Result<http::BodyCollector::Body> body) { heldRequest(std::move(body)); });
    if (!m_request.hasToken("Expect", "100-continue")) return m_requestHolder->start();
    m_request.remove("Expect");
    toClient("HTTP/1.1 100 Continue\r\n\r\n", [this] { m_requestHolder->start(); });
}

void HttpProxy::heldRequest(Result<http::BodyCollector::Body> body)
{
    if (!body) return refuse(400, body.error().message);
    if (!body->scanner.done())
        return refuse(413,
                      fmt::format("the body is larger than {} MiB", ApiEdits::kMaxHeldBytes >> 20));
    bool chunked = http::framingOf(m_request).kind == http::Framing::Kind::Chunked;
    prepare(chunked ? http::withoutChunks(body->raw) : std::move(body->raw));
}

void HttpProxy::prepare(std::string body)
{
    m_edits->prepare(std::move(body), [this](Result<std::string> edited) {
        if (!edited) return refuse(statusOf(edited.error()), edited.error().message);
        m_toEngine = std::move(*edited);
        reachEngine();
    });
}

void HttpProxy::reachEngine()
{
    if (m_engine && !m_engine->quiet()) m_engine.reset();  // It left, or spoke out of turn.
    if (!m_engine && m_context->engine.now().dial) m_engine = m_context->idle.take();
    if (m_engine) return forward();
    m_reach = std::make_unique<EngineReach>(
        m_context->loop, m_context->engine, m_context->options.wait,
        [this](Result<StreamPtr> stream) {
            m_reach.reset();
            if (!stream) return refuse(503, stream.error().message);
            m_engine = std::make_unique<http::HttpStream>(m_context->loop, std::move(*stream));
            forward();
        });
}

void HttpProxy::forward()
{
    readAnswer();
    if (m_held) {
        m_request.remove("Transfer-Encoding");
        m_request.remove("Trailer");
        m_request.set("Content-Length", std::to_string(m_toEngine.size()));
    }
    if (!m_held && http::framingOf(m_request).kind != http::Framing::Kind::None)
        return moveRequestBody(http::toText(m_request));
    m_toEngine = http::toText(m_request) + m_toEngine;
    writeOrWait(*m_engine, bytesOf(m_toEngine), m_alive.wrap([this](Result<> written) {
        m_toEngine = {};
        if (!written) return requestBroken();
        requestSent();
    }));
}

void HttpProxy::moveRequestBody(std::string head)
{
    m_requestPump = std::make_unique<http::BodyPump>(*m_client, *m_engine,
                                                     http::BodyScanner(http::framingOf(m_request)),
                                                     [this](Result<> moved) {
                                                         if (moved) return requestSent();
                                                         if (m_requestPump->writeFailed())
                                                             return requestBroken();
                                                         refuse(400, moved.error().message);
                                                     });
    m_requestPump->start(std::move(head));
}

void HttpProxy::requestSent()
{
    m_requestSent = true;
    if (m_answerSent) return readRequest();
    if (m_rawNext) return relayRaw();
    m_client->watch([this](Result<> ended) {
        if (!ended) return finish();
        m_engine->closeWrite();
    });
}

// The engine wants no more of the request. What it has to say about that is still to be read.
void HttpProxy::requestBroken()
{
    m_requestBroken = true;
    if (m_answerSent) linger();
}

void HttpProxy::readAnswer()
{
    m_answerReader = std::make_unique<http::HeadReader>(
        *m_engine, [this](Result<std::string> text) { gotAnswer(std::move(text)); });
}

void HttpProxy::gotAnswer(Result<std::string> text)
{
    if (!text || text->empty())
        return refuse(
            502, "the engine closed the connection before it answered; see: slipway logs engine");
    auto head = http::parseResponse(*text);
    if (!head) return refuse(502, head.error().message);
    m_answer = std::move(*head);
    if (m_answer.status < 200 && m_answer.status != 101)
        return toClient(http::toText(m_answer), [this] { readAnswer(); });
    m_answerBegun = true;
    http::Framing framing = http::framingOf(m_answer, m_request.method);
    if (m_answer.status == 101 || framing.kind == http::Framing::Kind::UntilClose)
        return toClient(http::toText(m_answer), [this] {
            m_rawNext = true;
            if (m_requestSent) relayRaw();
        });
    bool holdable =
        framing.kind == http::Framing::Kind::Chunked ||
        (framing.kind == http::Framing::Kind::Length && framing.length <= ApiEdits::kMaxHeldBytes);
    if (holdable && m_edits->holdsAnswer(m_answer)) return holdAnswer(framing);
    if (framing.kind == http::Framing::Kind::Chunked && m_edits->editsLines(m_answer))
        return editAnswerLines(framing);
    if (framing.kind == http::Framing::Kind::None)
        return toClient(http::toText(m_answer), [this] { answerSent(); });
    moveAnswerBody(http::toText(m_answer), http::BodyScanner(framing));
}

void HttpProxy::holdAnswer(http::Framing framing)
{
    m_answerHolder = std::make_unique<http::BodyCollector>(
        *m_engine, framing, ApiEdits::kMaxHeldBytes,
        [this](Result<http::BodyCollector::Body> body) { heldAnswer(std::move(body)); });
    m_answerHolder->start();
}

void HttpProxy::heldAnswer(Result<http::BodyCollector::Body> body)
{
    if (!body) return engineBroke(body.error());
    if (!body->scanner.done())  // Too large to hold after all: on as it came.
        return moveAnswerBody(http::toText(m_answer) + body->raw, body->scanner);
    bool chunked = http::framingOf(m_answer, m_request.method).kind == http::Framing::Kind::Chunked;
    std::string edited = m_edits->editAnswer(
        m_answer, chunked ? http::withoutChunks(body->raw) : std::move(body->raw));
    m_answer.remove("Transfer-Encoding");
    m_answer.remove("Trailer");
    m_answer.set("Content-Length", std::to_string(edited.size()));
    toClient(http::toText(m_answer) + edited, [this] { answerSent(); });
}

void HttpProxy::editAnswerLines(http::Framing framing)
{
    m_answer.remove("Trailer");  // They end with the framing.
    moveAnswerBody(http::toText(m_answer), http::BodyScanner(framing),
                   [this](std::string_view line) { return m_edits->editLine(line); });
}

void HttpProxy::moveAnswerBody(std::string head, http::BodyScanner scanner,
                               http::LineEditor::Edit edit)
{
    m_clientBusy = true;
    m_answerPump =
        std::make_unique<http::BodyPump>(*m_engine, *m_client, scanner, [this](Result<> moved) {
            m_clientBusy = false;
            if (moved) return answerSent();
            if (m_answerPump->begun()) return finish();
            engineBroke(moved.error());
        });
    if (edit) m_answerPump->edit(std::move(edit));
    m_answerPump->start(std::move(head));
}

// In the middle of its answer, of which the client has seen nothing yet.
void HttpProxy::engineBroke(const Error& error)
{
    m_answerBegun = false;
    refuse(502, context("the engine's answer", error).message);
}

void HttpProxy::answerSent()
{
    m_edits->answered(m_answer);
    m_answerSent = true;
    if (m_requestBroken || !m_request.keepsAlive() || !m_answer.keepsAlive()) return linger();
    if (m_requestSent) readRequest();
}

void HttpProxy::relayRaw()
{
    m_client->forget();
    m_relay = std::make_unique<Relay>(std::move(m_client), std::move(m_engine),
                                      [this](Result<>) { finish(); });
    m_relay->start();
}

void HttpProxy::refuse(unsigned status, const std::string& message)
{
    if (m_answerBegun || m_clientBusy) return finish();
    m_answerBegun = true;
    m_answerReader.reset();  // What the engine says meanwhile comes too late.
    log::debug("endpoint: {} {}: {} {}", m_request.method, m_request.target, status, message);
    std::string body = fmt::format("{{\"message\":{}}}\n", toJsonString(message));
    std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
        "Connection: close\r\n\r\n",
        status, reasonOf(status), body.size());
    if (m_request.method != "HEAD") text += body;
    toClient(std::move(text), [this] { linger(); });
}

void HttpProxy::linger()
{
    m_requestPump.reset();
    m_answerReader.reset();
    m_engine.reset();
    m_client->forget();
    m_client->closeWrite();
    m_limit.after(kLinger, [this] { finish(); });
    discard();
}

void HttpProxy::discard()
{
    m_client->read([this](Result<ByteStream::Bytes> data) {
        if (!data || data->empty()) return finish();
        discard();
    });
}

void HttpProxy::finish()
{
    if (!m_ended) return;
    auto ended = std::exchange(m_ended, nullptr);
    ended();
}

void HttpProxy::toClient(std::string text, std::function<void()> then)
{
    m_clientBusy = true;
    m_toClient = std::move(text);
    writeOrWait(*m_client, bytesOf(m_toClient),
                m_alive.wrap([this, then = std::move(then)](Result<> written) {
                    m_clientBusy = false;
                    m_toClient = {};
                    if (!written) return finish();
                    then();
                }));
}

}  // namespace slipway
