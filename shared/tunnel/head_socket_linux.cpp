#include "shared/tunnel/head_socket.h"

#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include "shared/io/descriptor_passing.h"

namespace slipway {
namespace {

constexpr std::size_t kLengthBytes = 4;

std::string encodeLength(std::size_t length)
{
    std::string bytes(kLengthBytes, '\0');
    for (std::size_t i = 0; i < kLengthBytes; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
    return bytes;
}

std::size_t decodeLength(const std::string& bytes)
{
    std::size_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i)
        length |= std::size_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return length;
}

}  // namespace

HeadSocket::HeadSocket(Loop& loop, Descriptor socket)
    : m_loop(loop), m_socket(std::move(socket)), m_poll(new uv_poll_t{})
{
    ::fcntl(m_socket.get(), F_SETFL, ::fcntl(m_socket.get(), F_GETFL) | O_NONBLOCK);
    CHECK(uv_poll_init(m_loop.uv(), m_poll.get(), m_socket.get()) == 0);
    m_poll->data = this;
}

HeadSocket::~HeadSocket()
{
    if (m_poll) uv_poll_stop(m_poll.get());  // Before the descriptor is closed.
}

void HeadSocket::receive(std::size_t maxBytes, Received received, Descriptor* along)
{
    CHECK(!m_received);
    m_received = std::move(received);
    m_inAlong = along;
    m_maxBytes = maxBytes;
    m_in.clear();
    m_wanted = kLengthBytes;
    poll();
}

void HeadSocket::send(const google::protobuf::MessageLite& message, Sent sent, Descriptor along)
{
    CHECK(!m_sent);
    m_sent = std::move(sent);
    m_outAlong = std::move(along);
    std::string body = message.SerializeAsString();
    m_out = encodeLength(body.size()) + body;
    m_written = 0;
    poll();
}

Descriptor HeadSocket::release()
{
    uv_poll_stop(m_poll.get());
    m_poll.reset();
    return std::move(m_socket);
}

void HeadSocket::poll()
{
    int events = (m_received ? UV_READABLE : 0) | (m_sent ? UV_WRITABLE : 0);
    if (!events) {
        uv_poll_stop(m_poll.get());
        return;
    }
    uv_poll_start(m_poll.get(), events, [](uv_poll_t* handle, int status, int what) {
        if (handle->data) static_cast<HeadSocket*>(handle->data)->ready(status, what);
    });
}

// One callback of ours per call at most, as it may destroy the object.
void HeadSocket::ready(int status, int events)
{
    if (m_sent && (status < 0 || (events & UV_WRITABLE))) return writeSome();
    if (m_received) readSome();
}

void HeadSocket::readSome()
{
    auto finish = [this](Result<std::string> result) {
        auto received = std::exchange(m_received, nullptr);
        poll();
        received(std::move(result));
    };
    while (m_in.size() < m_wanted) {
        char buffer[1024];
        std::size_t want = std::min(sizeof buffer, m_wanted - m_in.size());
        ssize_t count = m_inAlong
                            ? receiveWithDescriptor(m_socket.get(), {buffer, want}, *m_inAlong)
                            : ::recv(m_socket.get(), buffer, want, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count < 0) return finish(failErrno("read the head of a stream", errno));
        if (count == 0)
            return finish(fail(Code::Unavailable, "the other end closed in the head of a stream"));
        m_in.append(buffer, static_cast<std::size_t>(count));
        if (m_in.size() == kLengthBytes && m_wanted == kLengthBytes) {
            std::size_t length = decodeLength(m_in);
            if (length > m_maxBytes)
                return finish(
                    fail(Code::InvalidArgument,
                         fmt::format("a head of {} bytes, {} at most", length, m_maxBytes)));
            m_wanted += length;
        }
    }
    finish(m_in.substr(kLengthBytes));
}

void HeadSocket::writeSome()
{
    auto finish = [this](Result<> result) {
        auto sent = std::exchange(m_sent, nullptr);
        poll();
        sent(std::move(result));
    };
    while (m_written < m_out.size()) {
        std::string_view left = std::string_view(m_out).substr(m_written);
        ssize_t count = m_outAlong ? sendWithDescriptor(m_socket.get(), left, m_outAlong.get())
                                   : ::send(m_socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count < 0) return finish(failErrno("write the head of a stream", errno));
        m_written += static_cast<std::size_t>(count);
        m_outAlong.reset();
    }
    finish({});
}

}  // namespace slipway
