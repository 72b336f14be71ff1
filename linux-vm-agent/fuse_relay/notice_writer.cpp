#include "linux-vm-agent/fuse_relay/notice_writer.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <unistd.h>

#include "linux-vm-agent/fuse_relay/device.h"
#include "linux-vm-agent/fuse_relay/helper.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr int kDevice = 3;  // In the child.
// Few enough for the socket to hold them both ways: else both ends could wait to write.
constexpr std::size_t kMaxUnacknowledged = 64;
// Before another child is tried where one could not start.
constexpr std::chrono::milliseconds kPause{100};

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
        // One that was started before is not waited for: it may be waiting for the kernel.
        auto helper = startHelper(m_program, {"write-notices"}, {{m_device, kDevice}});
        if (!helper)
            log::error("files: containers do not see what the host changes: {}",
                       helper.error().message);
        if (helper && std::all_of(m_unacknowledged.begin(), m_unacknowledged.end(),
                                  [&](const auto& one) { return helper->stream->write(one); })) {
            m_child = std::move(helper->child);
            std::lock_guard lock(m_mutex);
            m_stream = std::move(helper->stream);
            continue;
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
