#include "linux-vm-agent/fuse_relay/notice_writer.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include "linux-vm-agent/fuse_relay/device.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr int kDevice = 3;  // In the child.
// Few enough for the socket to hold them both ways: else both ends could wait to write.
constexpr std::size_t kMaxUnacknowledged = 64;
constexpr std::chrono::milliseconds kPause{
    100};  // Before a child that could not start is tried again.

}  // namespace

NoticeWriter::NoticeWriter(int device, std::filesystem::path program)
    : m_device(device), m_program(std::move(program))
{
}

NoticeWriter::~NoticeWriter()
{
    stop();
}

void NoticeWriter::stop()
{
    std::lock_guard lock(m_mutex);
    m_stopping = true;
    if (m_stream) m_stream->shutdown();
}

// There is a child, and it was given all that is not acknowledged. False: there will be none.
bool NoticeWriter::ready()
{
    for (;;) {
        {
            std::lock_guard lock(m_mutex);
            if (m_stopping) return false;
            if (m_stream) return true;
        }
        int ends[2] = {-1, -1};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
            Descriptor ours(ends[0]);
            Descriptor theirs(ends[1]);
            Command command;
            command.program = m_program;
            command.args = {"write-notices"};
            command.input = theirs.get();
            command.out = Inherit{};
            command.err = Inherit{};
            command.fds = {{m_device, kDevice}};
            // One that was started before is not waited for: it may be waiting for the kernel.
            if (auto child = Child::start(command)) {
                m_child = *std::move(child);
                auto stream = std::make_shared<fuse::MessageStream>(std::move(ours));
                bool given = true;
                for (const auto& notice : m_unacknowledged) given = given && stream->write(notice);
                std::lock_guard lock(m_mutex);
                if (given) m_stream = std::move(stream);
                continue;
            } else {
                log::error("files: containers do not see what the host changes: {}",
                           child.error().message);
            }
        }
        std::this_thread::sleep_for(kPause);
    }
}

void NoticeWriter::write(std::vector<std::byte> notice)
{
    acknowledged(kMaxUnacknowledged - 1);
    m_unacknowledged.push_back(std::move(notice));
    std::shared_ptr<fuse::MessageStream> stream;
    {
        std::lock_guard lock(m_mutex);
        stream = m_stream;
    }
    bool given = stream && stream->write(m_unacknowledged.back());
    if (!given) {
        std::lock_guard lock(m_mutex);
        m_stream.reset();
    }
    ready();
}

void NoticeWriter::finish()
{
    acknowledged(0);
}

// Until no more than so many are not.
void NoticeWriter::acknowledged(std::size_t atMost)
{
    std::vector<std::byte> head;
    while (m_unacknowledged.size() > atMost && ready()) {
        if (m_stream->read(head)) {
            m_unacknowledged.pop_front();
        } else {
            std::lock_guard lock(m_mutex);
            m_stream.reset();
        }
    }
}

int noticeWriterMain()
{
    fuse::MessageStream agent{Descriptor(STDIN_FILENO)};
    std::vector<std::byte> notice;
    while (agent.read(notice)) {
        writeToDevice(kDevice, notice);
        fuse::OutHeader done{sizeof done, 0, 0};
        if (!agent.write(std::as_bytes(std::span(&done, 1)))) break;
    }
    return 0;
}

}  // namespace slipway
