#include "linux-vm-agent/engine/api_call.h"

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxAnswerBytes = 4u << 20;

}  // namespace

ApiCall::ApiCall(Loop& loop, std::string path, std::chrono::milliseconds limit, Done done)
    : m_loop(loop), m_path(std::move(path)), m_done(std::move(done)), m_timer(loop)
{
    m_timer.after(limit, [this, limit] {
        finish(fail(Code::DeadlineExceeded, fmt::format("no answer within {} ms", limit.count())));
    });
    m_connecting = connectUnix(m_loop, kEngineSocket, [this](Result<StreamPtr> stream) {
        if (!stream) return finish(tl::unexpected(stream.error()));
        connected(std::move(*stream));
    });
}

void ApiCall::connected(StreamPtr stream)
{
    m_stream = std::make_unique<http::HttpStream>(m_loop, std::move(stream));
    m_request =
        fmt::format("GET {} HTTP/1.1\r\nHost: slipway\r\nConnection: close\r\n\r\n", m_path);
    m_stream->write(bytesOf(m_request), [this](Result<> written) {
        if (!written) return finish(tl::unexpected(written.error()));
        readHead();
    });
}

void ApiCall::readHead()
{
    m_head = std::make_unique<http::HeadReader>(*m_stream, [this](Result<std::string> text) {
        if (!text) return finish(tl::unexpected(text.error()));
        headCame(*text);
    });
}

void ApiCall::headCame(const std::string& text)
{
    auto head = http::parseResponse(text);
    if (!head) return finish(tl::unexpected(head.error()));
    if (head->status != 200)
        return finish(
            fail(Code::Unavailable, fmt::format("status {} {}", head->status, head->reason)));
    auto framing = http::framingOf(*head, "GET");
    if (framing.kind == http::Framing::Kind::None) return finish(std::string());
    if (framing.kind == http::Framing::Kind::UntilClose)
        return finish(fail(Code::Unknown, "an answer without a length"));
    m_body = std::make_unique<http::BodyCollector>(
        *m_stream, framing, kMaxAnswerBytes,
        [this, framing](Result<http::BodyCollector::Body> body) {
            if (!body) return finish(tl::unexpected(body.error()));
            if (!body->scanner.done())
                return finish(fail(Code::ResourceExhausted, "too long an answer"));
            bool chunked = framing.kind == http::Framing::Kind::Chunked;
            finish(chunked ? http::withoutChunks(body->raw) : std::move(body->raw));
        });
    m_body->start();
}

void ApiCall::finish(Result<std::string> result)
{
    m_timer.stop();
    if (!result) result = tl::unexpected(context("GET " + m_path, std::move(result).error()));
    // Once: an answer that comes after the limit is dropped.
    if (auto done = std::exchange(m_done, nullptr)) done(std::move(result));
}

}  // namespace slipway
