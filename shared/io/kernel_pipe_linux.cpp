#include "shared/io/kernel_pipe.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace slipway {
namespace {

constexpr std::size_t kAllThereIs = 1u << 30;

// splice(2) without waiting for room in a pipe: nobody else would make any.
ssize_t spliceNow(int from, off64_t* offset, int to, std::size_t count)
{
    for (;;) {
        ssize_t moved = ::splice(from, offset, to, nullptr, count, SPLICE_F_NONBLOCK);
        if (moved >= 0 || errno != EINTR) return moved;
    }
}

bool waitToRead(int socket)
{
    pollfd ready{socket, POLLIN, 0};
    return ::poll(&ready, 1, -1) > 0 || errno == EINTR;
}

}  // namespace

std::optional<KernelPipe> KernelPipe::make(std::size_t bytes)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0) return std::nullopt;
    KernelPipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
    int size = ::fcntl(pipe.m_in.get(), F_SETPIPE_SZ, bytes);
    if (size < 0 || static_cast<std::size_t>(size) < bytes) return std::nullopt;
    return pipe;
}

std::optional<std::size_t> KernelPipe::takeFrom(int file, std::uint64_t offset, std::size_t count)
{
    auto at = static_cast<off64_t>(offset);
    while (m_size < count) {
        ssize_t moved = spliceNow(file, &at, m_in.get(), count - m_size);
        if (moved == 0) break;
        if (moved < 0) {
            clear();
            return std::nullopt;
        }
        m_size += static_cast<std::size_t>(moved);
    }
    return m_size;
}

bool KernelPipe::takeFrom(int socket, std::size_t count)
{
    for (std::size_t left = count; left > 0;) {
        if (!waitToRead(socket)) return false;
        ssize_t moved = spliceNow(socket, nullptr, m_in.get(), left);
        if (moved <= 0) return false;
        m_size += static_cast<std::size_t>(moved);
        left -= static_cast<std::size_t>(moved);
    }
    return true;
}

std::optional<std::size_t> KernelPipe::takeNow(int socket)
{
    ssize_t moved = spliceNow(socket, nullptr, m_in.get(), kAllThereIs);
    if (moved < 0) return std::nullopt;
    m_size += static_cast<std::size_t>(moved);
    return moved;
}

bool KernelPipe::giveNow(int socket)
{
    while (m_size > 0) {
        ssize_t moved = spliceNow(m_out.get(), nullptr, socket, m_size);
        if (moved < 0) return errno == EAGAIN;
        m_size -= static_cast<std::size_t>(moved);
    }
    return true;
}

std::size_t KernelPipe::takeOut(std::span<std::byte> into)
{
    ssize_t count = ::read(m_out.get(), into.data(), into.size());
    if (count < 0) return 0;
    m_size -= static_cast<std::size_t>(count);
    return static_cast<std::size_t>(count);
}

bool KernelPipe::take(std::span<const std::byte> bytes)
{
    ssize_t count = ::write(m_in.get(), bytes.data(), bytes.size());
    if (count > 0) m_size += static_cast<std::size_t>(count);
    return count == static_cast<ssize_t>(bytes.size());
}

bool KernelPipe::giveTo(int descriptor)
{
    while (m_size > 0) {
        ssize_t moved = ::splice(m_out.get(), nullptr, descriptor, nullptr, m_size, SPLICE_F_MORE);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) {
            int error = errno;
            clear();
            errno = error;
            return false;
        }
        m_size -= static_cast<std::size_t>(moved);
    }
    return true;
}

std::vector<std::byte> KernelPipe::drain()
{
    std::vector<std::byte> bytes(m_size);
    std::size_t have = 0;
    for (ssize_t count = 0;
         have < m_size && (count = ::read(m_out.get(), bytes.data() + have, m_size - have)) > 0;) {
        have += static_cast<std::size_t>(count);
    }
    bytes.resize(have);
    m_size = 0;
    return bytes;
}

void KernelPipe::clear()
{
    std::array<char, 65536> nowhere;
    while (::read(m_out.get(), nowhere.data(), nowhere.size()) > 0) {
    }
    m_size = 0;
}

}  // namespace slipway
