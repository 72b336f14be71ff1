// The machine's end of the share: carries FUSE messages between /dev/fuse and the bridge's file
// server.
//
// Theory of operation. Four threads and two children, blocking calls, nothing on the agent's loop:
// - The device thread reads requests. What was answered ahead, or is always answered alike, it
//   answers; of the rest it keeps a copy of each that wants an answer, and writes it to the stream.
//   While there is no stream it reads nothing: then requests wait in the kernel, where a process
//   that is killed can still leave. When a new stream comes it first sends again what was never
//   answered, marked as such; the server knows what it had done already. So a bridge that was away
//   is a pause.
// - The stream thread reads answers and writes them to the device; it never waits for anything
// else.
// - The notice thread hands invalidations to a child that writes them (notice_writer.h says why).
//   Injections pass through the same queue, so that a name is expired before its event is raised.
// - The injector thread keeps a child that performs injections in the mount (injector.h), without
//   /dev/fuse: a process that waits on its own mount could not die.
// The descriptor of /dev/fuse is slipway-init's; an agent that is started again inherits it and
// asks the kernel for what the one before had read and not answered (FUSE_NOTIFY_RESEND,
// Linux 6.9).
//
// The agent never touches the mount itself.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "linux-vm-agent/fuse_relay/answers_ahead.h"
#include "linux-vm-agent/fuse_relay/device.h"
#include "linux-vm-agent/fuse_relay/notice_writer.h"
#include "shared/core/error.h"
#include "shared/fuse/message_stream.h"
#include "shared/io/descriptor.h"

namespace slipway {

struct FuseRelayOptions {
    Descriptor device;  // Mounted already.
    std::filesystem::path mountPoint;
    std::filesystem::path program;  // Run as injector.h and notice_writer.h say.
};

class FuseRelay {
public:
    static Result<std::unique_ptr<FuseRelay>> start(FuseRelayOptions options);
    ~FuseRelay();
    FuseRelay(const FuseRelay&) = delete;
    FuseRelay& operator=(const FuseRelay&) = delete;

    // Relays over this stream, in place of the one before. From one thread; does not block.
    Result<> attach(std::uint32_t channel, Descriptor stream);

private:
    using Message = std::vector<std::byte>;
    using KeptRequest = std::shared_ptr<const Message>;
    using StreamPtr = std::shared_ptr<fuse::MessageStream>;
    FuseRelay(FuseRelayOptions options, Descriptor wake);

    void runDevice();
    void runStream(const StreamPtr& stream);
    void runNotices();
    void runInjector();
    bool serveStream(const StreamPtr& stream);
    bool answerHere(const Message& request);
    KeptRequest keep(Message request);
    bool resendPending(const StreamPtr& stream);
    void deliver(Message& answer);
    bool deliverRest(const StreamPtr& stream, Message& head);
    void serveInjector(const StreamPtr& injector);
    enum class Device { Read, Empty, Gone };
    bool readDevice(Message& request);
    Device readDeviceNow(Message& request);
    bool sleepForDevice();
    void drop(const StreamPtr& stream);

    FuseRelayOptions m_options;
    Descriptor m_wake;  // An eventfd: the device thread is to look at its state.
    NoticeWriter m_noticeWriter;
    // The device thread's; as long as the kernel demands.
    DeviceBuffer m_buffer;
    EagerWait m_deviceWait;

    std::mutex m_mutex;
    std::condition_variable m_changed;
    bool m_stopping = false;
    StreamPtr m_stream;
    // Read, not answered; by `unique` without kResentBit.
    std::map<std::uint64_t, KeptRequest> m_pending;
    std::deque<Message> m_notices;
    StreamPtr m_injector;
    std::optional<KernelPipe> m_pipe;  // The stream thread's.
    Message m_injectorReady;           // What it said of itself; again to each new stream.
    AnswersAhead m_ahead;

    std::thread m_streamThread;
    std::thread m_deviceThread;
    std::thread m_noticeThread;
    std::thread m_injectorThread;
};

}  // namespace slipway
