// Bytes on their way from one descriptor to another that do not come to this process's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shared/io/descriptor.h"

namespace slipway {

// One thread's at a time. What comes from a file or a socket is not copied but referred to, where
// the kernel can (splice(2)).
class KernelPipe {
public:
    // None where the user may not have one that holds `bytes` (/proc/sys/fs/pipe-max-size).
    static std::optional<KernelPipe> make(std::size_t bytes);

    std::size_t size() const { return m_size; }

    // How many bytes came: fewer at the end of the file. None: it can't be done like this, and
    // nothing is held.
    std::optional<std::size_t> takeFrom(int file, std::uint64_t offset, std::size_t count);

    // Waits for all of them. False: the stream has ended, or they do not fit: a page of the pipe
    // holds one piece, however small. What came is held.
    bool takeFrom(int socket, std::size_t count);
    bool take(std::span<const std::byte> bytes);

    // What the socket has now: 0 at its end. None, with `errno`: nothing now, or an error.
    std::optional<std::size_t> takeNow(int socket);
    // What the socket takes now; size() is then what it did not. False, with `errno`: an error.
    bool giveNow(int socket);
    std::size_t takeOut(std::span<std::byte> into);  // The first of it, to memory.

    // All that it holds, in one call or more. False, with `errno`: nothing is held any more. The
    // process ignores SIGPIPE, where it is a socket.
    bool giveTo(int descriptor);

    std::vector<std::byte> drain();  // To this process's memory after all.
    void clear();

private:
    KernelPipe(Descriptor out, Descriptor in) : m_out(std::move(out)), m_in(std::move(in)) {}

    Descriptor m_out, m_in;
    std::size_t m_size = 0;
};

}  // namespace slipway
