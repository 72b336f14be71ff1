#include "shared/fuse/message_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace slipway::fuse {
namespace {

constexpr std::size_t kBufferBytes = 32 * 1024;
constexpr std::size_t kMaxParts = 4;  // Of a message; the first place is for those ahead of it.

// How many bytes came; 0: the stream has ended. None: there are none yet, where `flags` do not
// wait.
std::optional<std::size_t> receiveOnce(int socket, std::byte* to, std::size_t room, int flags)
{
    for (;;) {
        ssize_t count = ::recv(socket, to, room, flags);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno == EAGAIN) return std::nullopt;
        if (errno != EINTR) return 0;
    }
}

}  // namespace

MessageStream::MessageStream(Descriptor socket)
    : m_socket(std::move(socket)), m_buffer(kBufferBytes)
{
    int flags = ::fcntl(m_socket.get(), F_GETFL);
    if (flags >= 0) ::fcntl(m_socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    // A whole message should find room; the kernel makes it as large as it allows.
    int room = 2 * kMaxMessageBytes;
    ::setsockopt(m_socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

// At least one byte. 0: the stream has ended.
std::size_t MessageStream::receive(std::byte* to, std::size_t room)
{
    return m_wait([&] { return receiveOnce(m_socket.get(), to, room, MSG_DONTWAIT); },
                  [&] { return receiveOnce(m_socket.get(), to, room, 0).value_or(0); });
}

bool MessageStream::fill(std::size_t wanted)
{
    while (m_end - m_begin < wanted) {
        if (m_begin > 0) {
            std::memmove(m_buffer.data(), m_buffer.data() + m_begin, m_end - m_begin);
            m_end -= m_begin;
            m_begin = 0;
        }
        std::size_t count = receive(m_buffer.data() + m_end, m_buffer.size() - m_end);
        if (count == 0) return false;
        m_end += count;
    }
    return true;
}

bool MessageStream::read(std::vector<std::byte>& message)
{
    std::lock_guard lock(m_readMutex);
    return readHeadLocked(message, kMaxMessageBytes);
}

bool MessageStream::readHead(std::vector<std::byte>& message, std::size_t whole)
{
    std::lock_guard lock(m_readMutex);
    return readHeadLocked(message, whole);
}

bool MessageStream::readHeadLocked(std::vector<std::byte>& message, std::size_t whole)
{
    std::uint32_t length = 0;
    if (!fill(sizeof length)) return false;
    std::memcpy(&length, m_buffer.data() + m_begin, sizeof length);
    if (length < sizeof(OutHeader) || length > kMaxMessageBytes) return false;
    message.resize(length <= whole ? length : sizeof(OutHeader));
    m_rest = length - message.size();
    return readAll(message);
}

bool MessageStream::readRest(std::vector<std::byte>& message)
{
    std::lock_guard lock(m_readMutex);
    std::size_t head = message.size();
    message.resize(head + std::exchange(m_rest, 0));
    return readAll(std::span(message).subspan(head));
}

bool MessageStream::readRest(KernelPipe& rest)
{
    std::lock_guard lock(m_readMutex);
    std::size_t buffered = std::min(m_rest, m_end - m_begin);
    std::size_t before = rest.size();
    bool whole = rest.take(std::span(m_buffer).subspan(m_begin, buffered));
    m_begin += rest.size() - before;
    whole = whole && rest.takeFrom(m_socket.get(), m_rest - buffered);
    m_rest -= rest.size() - before;
    return whole;
}

// What the buffer does not hold goes straight where it belongs.
bool MessageStream::readAll(std::span<std::byte> to)
{
    std::size_t have = std::min(to.size(), m_end - m_begin);
    std::memcpy(to.data(), m_buffer.data() + m_begin, have);
    m_begin += have;
    if (m_begin == m_end) m_begin = m_end = 0;
    while (have < to.size()) {
        std::size_t count = receive(to.data() + have, to.size() - have);
        if (count == 0) return false;
        have += count;
    }
    return true;
}

bool MessageStream::write(std::span<const Bytes> parts)
{
    std::lock_guard lock(m_writeMutex);
    return send(parts);
}

bool MessageStream::write(Bytes head, KernelPipe& rest)
{
    std::lock_guard lock(m_writeMutex);
    return send(std::span(&head, 1)) && rest.giveTo(m_socket.get());
}

// Behind what is to go ahead of it.
bool MessageStream::send(std::span<const Bytes> parts)
{
    CHECK(parts.size() <= kMaxParts);
    std::vector<std::byte> ahead;
    {
        std::lock_guard aheadLock(m_aheadMutex);
        ahead.swap(m_ahead);
    }
    std::array<iovec, 1 + kMaxParts> vectors{};
    vectors[0] = {ahead.data(), ahead.size()};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        vectors[1 + i] = {const_cast<std::byte*>(parts[i].data()), parts[i].size()};
    }
    iovec* next = vectors.data();
    std::size_t left = 1 + parts.size();
    while (left > 0) {
        msghdr head{};
        head.msg_iov = next;
        head.msg_iovlen = left;
        ssize_t sent = ::sendmsg(m_socket.get(), &head, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        auto count = static_cast<std::size_t>(sent);
        while (left > 0 && count >= next->iov_len) {
            count -= next->iov_len;
            ++next;
            --left;
        }
        if (left > 0) {
            next->iov_base = static_cast<std::byte*>(next->iov_base) + count;
            next->iov_len -= count;
        }
    }
    return true;
}

void MessageStream::writeAhead(std::span<const Bytes> parts)
{
    std::lock_guard lock(m_aheadMutex);
    for (Bytes part : parts) m_ahead.insert(m_ahead.end(), part.begin(), part.end());
}

void MessageStream::shutdown()
{
    ::shutdown(m_socket.get(), SHUT_RDWR);
}

}  // namespace slipway::fuse
