// Writes invalidations to /dev/fuse, in a process of its own.
//
// The kernel may let such a write wait, uninterruptibly, for a page whose READ is not yet answered.
// A thread of the agent that waits there would keep a killed agent from dying, and with it the next
// agent from coming, who alone could have that READ answered. The child holds nothing but
// /dev/fuse: it can be left where it is, and ends by itself afterwards.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "shared/fuse/message_stream.h"
#include "shared/io/descriptor.h"
#include "shared/process/child.h"

namespace slipway {

// Of one thread, but for stop().
class NoticeWriter {
public:
    // `program` is run as `PROGRAM write-notices`, see noticeWriterMain(). `device` outlives this.
    NoticeWriter(int device, std::filesystem::path program);
    ~NoticeWriter();
    NoticeWriter(const NoticeWriter&) = delete;
    NoticeWriter& operator=(const NoticeWriter&) = delete;

    // The kernel gets them all, in this order; it does not wait for that. A child that dies is
    // started again and gets anew what it did not acknowledge, as one too many does no harm.
    void write(std::vector<std::byte> notice);
    void finish();  // Waits until the kernel has them all.

    void stop();  // From any thread: nothing waits any more.

private:
    bool ready();
    void acknowledged(std::size_t atMost);

    const int m_device;
    const std::filesystem::path m_program;
    std::optional<Child> m_child;
    std::deque<std::vector<std::byte>> m_unacknowledged;
    std::mutex m_mutex;
    bool m_stopping = false;                        // Guarded by m_mutex, as is
    std::shared_ptr<fuse::MessageStream> m_stream;  // set by its own thread only.
};

// `slipway-agent write-notices`: takes notices from its standard input, a socket, writes them to
// descriptor 3, and returns the head of each when it is done. Returns the exit code.
int noticeWriterMain();

}  // namespace slipway
