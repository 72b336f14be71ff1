#include "linux-vm-agent/fuse_relay/fuse_relay.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "linux-vm-agent/fuse_relay/helper.h"
#include "linux-vm-agent/fuse_relay/read_ahead.h"
#include "shared/core/log.h"
#include "shared/fuse/fixed_answers.h"

namespace slipway {
namespace {

using fuse::InHeader;
using fuse::OutHeader;

constexpr std::chrono::seconds kInjectorPause{1};
constexpr std::size_t kLargeAnswer = 64 * 1024;

template <class T>
T headOf(std::span<const std::byte> message)
{
    T head{};
    std::memcpy(&head, message.data(), sizeof head);
    return head;
}

std::vector<std::byte> injectorGone()
{
    struct {
        InHeader header;
        fuse::InjectorReadyBody body;
    } message{};
    message.header.len = sizeof message;
    message.header.opcode = fuse::Opcode::InjectorReady;
    auto bytes = std::as_bytes(std::span(&message, 1));
    return {bytes.begin(), bytes.end()};
}

}  // namespace

Result<std::unique_ptr<FuseRelay>> FuseRelay::start(FuseRelayOptions options)
{
    int flags = ::fcntl(options.device.get(), F_GETFL);
    if (flags < 0 || ::fcntl(options.device.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
        return failErrno("make /dev/fuse non-blocking", errno);
    }
    ::fcntl(options.device.get(), F_SETFD, FD_CLOEXEC);
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return failErrno("relay files: eventfd", errno);

    OutHeader resend{sizeof resend, static_cast<std::int32_t>(fuse::Notify::Resend), 0};
    if (::write(options.device.get(), &resend, sizeof resend) < 0 && errno == EINVAL) {
        log::info(
            "files: this kernel (before Linux 6.9) can't repeat what an earlier agent left "
            "unanswered");
    }
    setReadAhead(options.mountPoint, fuse::kMaxReadBytes * 4);
    return std::unique_ptr<FuseRelay>(new FuseRelay(std::move(options), std::move(wake)));
}

FuseRelay::FuseRelay(FuseRelayOptions options, Descriptor wake)
    : m_options(std::move(options)),
      m_wake(std::move(wake)),
      m_noticeWriter(m_options.device.get(), m_options.program),
      m_pipe(KernelPipe::make(fuse::kMaxDataBytes)),
      m_deviceThread([this] { runDevice(); }),
      m_noticeThread([this] { runNotices(); }),
      m_injectorThread([this] { runInjector(); })
{
}

FuseRelay::~FuseRelay()
{
    {
        std::lock_guard lock(m_mutex);
        m_stopping = true;
        if (m_stream) m_stream->shutdown();
        if (m_injector) m_injector->shutdown();
    }
    m_noticeWriter.stop();
    m_changed.notify_all();
    ::eventfd_write(m_wake.get(), 1);
    for (auto* thread : {&m_streamThread, &m_deviceThread, &m_noticeThread, &m_injectorThread}) {
        if (thread->joinable()) thread->join();
    }
}

Result<> FuseRelay::attach(std::uint32_t channel, Descriptor socket)
{
    if (channel >= fuse::kChannels) {
        return fail(Code::InvalidArgument,
                    fmt::format("share channel {}: there are {}", channel, fuse::kChannels));
    }
    auto stream = std::make_shared<fuse::MessageStream>(std::move(socket));
    StreamPtr before;
    {
        std::lock_guard lock(m_mutex);
        before = std::exchange(m_stream, nullptr);
        if (before) before->shutdown();
    }
    if (m_streamThread.joinable()) m_streamThread.join();
    m_ahead.clear();
    {
        std::lock_guard lock(m_mutex);
        m_stream = stream;
        m_streamThread = std::thread([this, stream] { runStream(stream); });
    }
    m_changed.notify_all();
    ::eventfd_write(m_wake.get(), 1);
    return {};
}

void FuseRelay::drop(const StreamPtr& stream)
{
    stream->shutdown();
    {
        std::lock_guard lock(m_mutex);
        if (m_stream == stream) m_stream.reset();
    }
    ::eventfd_write(m_wake.get(), 1);
}

// --- Requests.

void FuseRelay::runDevice()
{
    for (;;) {
        StreamPtr stream;
        {
            std::unique_lock lock(m_mutex);
            m_changed.wait(lock, [this] { return m_stopping || m_stream; });
            if (m_stopping) return;
            stream = m_stream;
        }
        if (!serveStream(stream)) return;
    }
}

// Until the stream is another one. False: there will be no more requests.
bool FuseRelay::serveStream(const StreamPtr& stream)
{
    if (!resendPending(stream)) {
        drop(stream);
        return true;
    }
    Message request;
    for (;;) {
        {
            std::lock_guard lock(m_mutex);
            if (m_stopping) return false;
            if (m_stream != stream) return true;
        }
        if (!readDevice(request)) return false;
        if (request.empty() || answerHere(request)) continue;
        if (auto forgets = m_ahead.takeForgets(); !forgets.empty()) stream->writeAhead(forgets);
        // Kept first: if the write fails, the next stream gets it.
        if (!stream->write(*keep(std::move(request)))) drop(stream);
    }
}

// What needs no way to the bridge.
bool FuseRelay::answerHere(const Message& request)
{
    auto parsed = fuse::parseRequest(request);
    if (!parsed) return false;
    if (auto fixed = fuse::fixedAnswer(*parsed)) {
        OutHeader out{sizeof out, -static_cast<std::int32_t>(*fixed), parsed->header.unique};
        writeToDevice(m_options.device.get(), std::as_bytes(std::span(&out, 1)));
        return true;
    }
    auto answer = m_ahead.answerTo(*parsed);
    if (answer) writeToDevice(m_options.device.get(), *answer);
    return answer.has_value();
}

FuseRelay::KeptRequest FuseRelay::keep(Message request)
{
    auto header = headOf<InHeader>(request);
    auto kept = std::make_shared<const Message>(std::move(request));
    if (fuse::isOneWay(header.opcode)) return kept;
    std::lock_guard lock(m_mutex);
    m_pending.insert_or_assign(header.unique & ~fuse::kResentBit, kept);
    return kept;
}

bool FuseRelay::resendPending(const StreamPtr& stream)
{
    std::vector<Message> again;
    {
        std::lock_guard lock(m_mutex);
        for (auto& [unique, request] : m_pending) again.push_back(*request);
        if (!m_injectorReady.empty()) again.push_back(m_injectorReady);
    }
    if (again.size() > 1)
        log::info("files: the bridge is back; {} requests are sent again", again.size());
    for (auto& request : again) {
        auto header = headOf<InHeader>(request);
        if (header.opcode != fuse::Opcode::InjectorReady) header.unique |= fuse::kResentBit;
        std::memcpy(request.data(), &header, sizeof header);
        if (!stream->write(request)) return false;
    }
    return true;
}

// False: the mount is gone. An empty request: there was none after all.
bool FuseRelay::readDevice(Message& request)
{
    request.clear();
    auto look = [&]() -> std::optional<Device> {
        Device device = readDeviceNow(request);
        if (device == Device::Empty) return std::nullopt;
        return device;
    };
    auto sleep = [&] { return sleepForDevice() ? readDeviceNow(request) : Device::Gone; };
    return m_deviceWait(look, sleep) != Device::Gone;
}

FuseRelay::Device FuseRelay::readDeviceNow(Message& request)
{
    ssize_t count = ::read(m_options.device.get(), m_buffer.data(), m_buffer.size());
    int error = errno;
    if (count > 0) {
        request.assign(m_buffer.data(), m_buffer.data() + count);
        return Device::Read;
    }
    // ENOENT: who asked has gone.
    if (count == 0 || error == EINTR || error == EAGAIN || error == ENOENT) return Device::Empty;
    log::info("files: the share has ended: {}", std::strerror(error));
    return Device::Gone;
}

// Until there is something to read, or something else to do: see m_wake.
bool FuseRelay::sleepForDevice()
{
    std::array<pollfd, 2> ready{pollfd{m_options.device.get(), POLLIN, 0},
                                pollfd{m_wake.get(), POLLIN, 0}};
    if (::poll(ready.data(), ready.size(), -1) < 0) return errno == EINTR;
    if (ready[1].revents) {
        eventfd_t count = 0;
        ::eventfd_read(m_wake.get(), &count);
    }
    return true;
}

// --- Answers.

void FuseRelay::runStream(const StreamPtr& stream)
{
    Message message;
    while (stream->readHead(message, m_pipe ? kLargeAnswer : fuse::kMaxMessageBytes)) {
        if (headOf<OutHeader>(message).len > message.size()) {
            if (!deliverRest(stream, message)) break;
            continue;
        }
        if (m_ahead.follow(message)) continue;
        auto header = headOf<OutHeader>(message);
        if (header.unique != 0) {
            deliver(message);
            continue;
        }
        std::lock_guard lock(m_mutex);
        m_notices.push_back(message);
        m_changed.notify_all();
    }
    drop(stream);
}

void FuseRelay::deliver(Message& answer)
{
    auto header = headOf<OutHeader>(answer);
    {
        std::lock_guard lock(m_mutex);
        auto pending = m_pending.find(header.unique & ~fuse::kResentBit);
        if (pending == m_pending.end()) return;  // Nobody asked.
        header.unique = headOf<InHeader>(*pending->second).unique;
        m_pending.erase(pending);
    }
    std::memcpy(answer.data(), &header, sizeof header);
    writeToDevice(m_options.device.get(), answer);
}

// The contents of a file, which need not come here on their way.
bool FuseRelay::deliverRest(const StreamPtr& stream, Message& head)
{
    auto header = headOf<OutHeader>(head);
    {
        std::lock_guard lock(m_mutex);
        auto pending = m_pending.find(header.unique & ~fuse::kResentBit);
        if (pending == m_pending.end()) return stream->readRest(head);  // Nobody asked.
        header.unique = headOf<InHeader>(*pending->second).unique;
    }
    bool whole = m_pipe->take(std::as_bytes(std::span(&header, 1))) && stream->readRest(*m_pipe);
    Message copy;
    if (!whole) {
        copy = m_pipe->drain();
        if (!stream->readRest(copy)) return false;
    }
    {
        std::lock_guard lock(m_mutex);
        m_pending.erase(header.unique & ~fuse::kResentBit);
    }
    if (!whole)
        writeToDevice(m_options.device.get(), copy);
    else if (!m_pipe->giveTo(m_options.device.get()))
        logRefused(header, errno);
    return true;
}

// --- Notices.

void FuseRelay::runNotices()
{
    std::unique_lock lock(m_mutex);
    for (;;) {
        m_changed.wait(lock, [this] { return m_stopping || !m_notices.empty(); });
        if (m_stopping) return;
        Message notice = std::move(m_notices.front());
        m_notices.pop_front();
        auto injector = m_injector;
        lock.unlock();
        if (headOf<OutHeader>(notice).error == static_cast<std::int32_t>(fuse::Notify::Inject)) {
            m_noticeWriter.finish();
            if (injector) injector->write(notice);
        } else {
            m_noticeWriter.write(std::move(notice));
        }
        lock.lock();
    }
}

// --- The injector.

void FuseRelay::runInjector()
{
    std::unique_lock lock(m_mutex);
    for (;;) {
        // Not before there is somebody to answer what it asks.
        m_changed.wait(lock, [this] { return m_stopping || m_stream; });
        if (m_stopping) return;
        lock.unlock();

        auto helper =
            startHelper(m_options.program, {"inject", "--mount", m_options.mountPoint.string()});
        if (helper) {
            serveInjector(helper->stream);
            helper->child.kill();
            helper->child.wait();  // One that waits on the share ends when it is answered.
        } else {
            log::warn("files: containers get no file events: {}", helper.error().message);
        }
        lock.lock();
        m_changed.wait_for(lock, kInjectorPause, [this] { return m_stopping; });
    }
}

void FuseRelay::serveInjector(const StreamPtr& injector)
{
    {
        std::lock_guard lock(m_mutex);
        m_injector = injector;
        if (m_stopping) return;
    }
    Message message;
    bool more = true;
    while (more) {
        more = injector->read(message);
        if (!more) message = injectorGone();
        StreamPtr stream;
        {
            std::lock_guard lock(m_mutex);
            if (headOf<InHeader>(message).opcode == fuse::Opcode::InjectorReady)
                m_injectorReady = message;
            stream = m_stream;
        }
        if (stream) stream->write(message);
    }
    std::lock_guard lock(m_mutex);
    m_injector.reset();
}

}  // namespace slipway
