#include "wsl-bridge/engine/engine_client.h"

#include <fmt/format.h>

#include "shared/http/http_stream.h"
#include "shared/json/json.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxAnswerBytes = 64u << 20;

class Question final : public EngineQuestion {
public:
    Question(Loop& loop, const DialEngine& dial, std::string target,
             std::chrono::milliseconds limit, EngineClient::Answered answered)
        : m_loop(loop), m_target(std::move(target)), m_answered(std::move(answered)), m_limit(loop)
    {
        m_text =
            fmt::format("GET {} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n", m_target);
        m_limit.after(limit, [this] { finish(fail(Code::DeadlineExceeded, "no answer in time")); });
        m_dialing = dial([this](Result<StreamPtr> stream) { ask(std::move(stream)); });
    }

private:
    void ask(Result<StreamPtr> stream)
    {
        if (!stream) return finish(tl::unexpected(stream.error()));
        m_engine = std::make_unique<http::HttpStream>(m_loop, std::move(*stream));
        m_engine->write(bytesOf(m_text), m_alive.wrap([this](Result<> written) {
            if (!written) return finish(tl::unexpected(written.error()));
            m_reader = std::make_unique<http::HeadReader>(
                *m_engine, [this](Result<std::string> text) { gotHead(std::move(text)); });
        }));
    }

    void gotHead(Result<std::string> text)
    {
        if (!text) return finish(tl::unexpected(text.error()));
        auto head = http::parseResponse(*text);
        if (!head) return finish(tl::unexpected(head.error()));
        m_head = std::move(*head);
        m_framing = http::framingOf(m_head, "GET");
        if (m_framing.kind == http::Framing::Kind::None) return gotBody({});
        if (m_framing.kind == http::Framing::Kind::UntilClose)
            return finish(fail(Code::Unimplemented, "an answer without a length"));
        m_collector = std::make_unique<http::BodyCollector>(
            *m_engine, m_framing, kMaxAnswerBytes, [this](Result<http::BodyCollector::Body> body) {
                if (!body) return finish(tl::unexpected(body.error()));
                if (!body->scanner.done())
                    return finish(fail(Code::ResourceExhausted, "the answer is too large"));
                bool chunked = m_framing.kind == http::Framing::Kind::Chunked;
                gotBody(chunked ? http::withoutChunks(body->raw) : std::move(body->raw));
            });
        m_collector->start();
    }

    void gotBody(std::string body)
    {
        if (m_head.status == 200) return finish(std::move(body));
        finish(fail(Code::Unavailable, fmt::format("{} {}", m_head.status, body)));
    }

    void finish(Result<std::string> answer)
    {
        auto answered = std::exchange(m_answered, nullptr);
        if (!answered) return;
        m_limit.stop();
        m_reader.reset();
        m_collector.reset();
        m_engine.reset();  // Now: the owner may keep the question for long.
        m_dialing.reset();
        if (!answer)
            answer.error() =
                context(fmt::format("ask the engine for {}", m_target), answer.error());
        answered(std::move(answer));
    }

    Loop& m_loop;
    std::string m_target;
    EngineClient::Answered m_answered;
    Timer m_limit;
    std::string m_text;
    DialingPtr m_dialing;
    std::unique_ptr<http::HttpStream> m_engine;
    std::unique_ptr<http::HeadReader> m_reader;
    std::unique_ptr<http::BodyCollector> m_collector;
    http::ResponseHead m_head;
    http::Framing m_framing;
    Alive m_alive;
};

}  // namespace

EngineClient::EngineClient(Loop& loop, DialEngine dial) : m_loop(loop), m_dial(std::move(dial)) {}

EngineQuestionPtr EngineClient::get(std::string target, Answered answered,
                                    std::chrono::milliseconds limit)
{
    return std::make_unique<Question>(m_loop, m_dial, std::move(target), limit,
                                      std::move(answered));
}

EngineQuestionPtr EngineClient::ping(Pinged pinged, std::chrono::milliseconds limit)
{
    auto began = std::chrono::steady_clock::now();
    return get(
        "/_ping",
        [began, pinged = std::move(pinged)](Result<std::string> answer) {
            if (!answer) return pinged(tl::unexpected(answer.error()));
            pinged(std::chrono::duration_cast<std::chrono::microseconds>(
                std::chrono::steady_clock::now() - began));
        },
        limit);
}

EngineQuestionPtr EngineClient::version(VersionDone done, std::chrono::milliseconds limit)
{
    return get(
        "/version",
        [done = std::move(done)](Result<std::string> answer) {
            if (!answer) return done(tl::unexpected(answer.error()));
            auto json = parseJson(*answer, "the engine's version");
            if (!json) return done(tl::unexpected(json.error()));
            auto text = [&](const char* name) {
                auto* value = json->is_object() ? json->as_object().if_contains(name) : nullptr;
                return value && value->is_string() ? std::string(value->as_string())
                                                   : std::string();
            };
            done(Version{text("Version"), text("ApiVersion")});
        },
        limit);
}

}  // namespace slipway
