#include "shared/io/framed_stream.h"

#include <utility>

namespace slipway {
namespace {

constexpr std::size_t kMaxMessageBytes = 0xffff;
constexpr std::size_t kEnoughWaiting = 256 * 1024;
constexpr std::size_t kTooMuchWaiting = 4 * kEnoughWaiting;

}  // namespace

FramedStream::FramedStream(StreamPtr stream, Events events)
    : m_stream(std::move(stream)), m_events(std::move(events))
{
    read();
}

void FramedStream::send(std::string_view message)
{
    if (message.size() > kMaxMessageBytes || m_waiting.size() > kTooMuchWaiting) return;
    appendFrame(m_waiting, bytesOf(message));
    if (m_writing.empty()) write();
}

void FramedStream::read()
{
    m_reads = true;
    m_stream->read([this](Result<ByteStream::Bytes> bytes) {
        m_reads = false;
        if (!bytes || bytes->empty()) return end();
        m_reader.take(*bytes,
                      [this](ByteStream::Bytes message) { m_events.came(textOf(message)); });
        if (m_waiting.size() < kEnoughWaiting) read();
    });
}

void FramedStream::write()
{
    m_writing.swap(m_waiting);
    m_stream->write(m_writing, [this](const Result<>& written) {
        m_writing.clear();
        if (!written && !m_reads) return end();  // Else reading tells so.
        if (!written || !m_events.ended) return;
        if (!m_waiting.empty()) write();
        if (!m_reads && m_waiting.size() < kEnoughWaiting) read();
    });
}

void FramedStream::end()
{
    if (auto ended = std::exchange(m_events.ended, nullptr)) ended();
}

}  // namespace slipway
