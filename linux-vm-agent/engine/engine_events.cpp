#include "linux-vm-agent/engine/engine_events.h"

#include <chrono>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kRetry{500};

}  // namespace

EngineEvents::EngineEvents(Loop& loop, std::string path, std::function<void()> happened)
    : m_loop(loop),
      m_request(fmt::format("GET {} HTTP/1.1\r\nHost: slipway\r\n\r\n", path)),
      m_happened(std::move(happened)),
      m_retry(loop)
{
}

void EngineEvents::watch()
{
    rest();
    m_connecting = connectUnix(m_loop, kEngineSocket, [this](Result<StreamPtr> stream) {
        if (!stream) return again();
        connected(std::move(*stream));
    });
}

void EngineEvents::rest()
{
    m_retry.stop();
    m_head.reset();
    m_stream.reset();
    m_connecting.reset();
}

void EngineEvents::connected(StreamPtr stream)
{
    m_stream = std::make_unique<http::HttpStream>(m_loop, std::move(stream));
    m_stream->write(bytesOf(m_request), [this](Result<> written) {
        if (!written) return again();
        readHead();
    });
}

void EngineEvents::readHead()
{
    m_head = std::make_unique<http::HeadReader>(*m_stream, [this](Result<std::string> text) {
        auto head = text ? http::parseResponse(*text) : tl::unexpected(text.error());
        if (!head || head->status != 200) return again();
        readEvents();
        m_happened();
    });
}

void EngineEvents::readEvents()
{
    m_stream->read([this](Result<ByteStream::Bytes> bytes) {
        if (!bytes || bytes->empty()) return again();
        readEvents();
        m_happened();
    });
}

// From within a callback of what rest() destroys, so later.
void EngineEvents::again()
{
    m_retry.after(kRetry, [this] { watch(); });
}

}  // namespace slipway
