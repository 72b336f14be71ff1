#include "wsl-bridge/files/outbox.h"

#include <chrono>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxNotes = 65536;
constexpr std::size_t kMaxOrders = 131072;  // Some 40 MB.
constexpr std::chrono::seconds kMaxInjection{2};

std::vector<std::byte> notifyMessage(fuse::Notify code, std::initializer_list<fuse::Bytes> parts)
{
    fuse::OutHeader header{sizeof header, static_cast<std::int32_t>(code), 0};
    for (auto part : parts) header.len += static_cast<std::uint32_t>(part.size());
    std::vector<std::byte> message;
    message.reserve(header.len);
    auto head = bytesOfValue(header);
    message.insert(message.end(), head.begin(), head.end());
    for (auto part : parts) message.insert(message.end(), part.begin(), part.end());
    return message;
}

std::vector<std::byte> entryMessage(std::uint64_t parent, std::string_view name)
{
    fuse::NotifyInvalEntry head{parent, static_cast<std::uint32_t>(name.size()), fuse::kExpireOnly};
    return notifyMessage(
        fuse::Notify::InvalEntry,
        {bytesOfValue(head), std::as_bytes(std::span(name)), std::as_bytes(std::span("", 1))});
}

}  // namespace

Outbox::Outbox(Everything everything)
    : m_everything(std::move(everything)),
      m_noteThread([this] { sendNotes(); }),
      m_injectionThread([this] { sendInjections(); })
{
}

void Outbox::stop()
{
    {
        std::lock_guard lock(m_mutex);
        m_stopping = true;
        if (m_stream) m_stream->shutdown();
    }
    m_changed.notify_all();
    if (m_noteThread.joinable()) m_noteThread.join();
    if (m_injectionThread.joinable()) m_injectionThread.join();
}

void Outbox::attach(std::shared_ptr<fuse::MessageStream> stream)
{
    std::lock_guard lock(m_mutex);
    // What went out on the one before may never have come to the kernel.
    if (std::exchange(m_hadStream, true)) {
        m_notes.clear();
        m_all = true;
    }
    m_stream = std::move(stream);
    m_injector = 0;
    m_orders.clear();
    m_changed.notify_all();
}

void Outbox::detach(const fuse::MessageStream& stream)
{
    std::lock_guard lock(m_mutex);
    if (m_stream.get() != &stream) return;
    m_stream.reset();
    m_injector = 0;
    m_changed.notify_all();
}

void Outbox::push(fuse::Notify code, fuse::Bytes head, std::string_view name)
{
    std::lock_guard lock(m_mutex);
    if (m_notes.size() >= kMaxNotes && !m_telling) {
        m_notes.clear();
        m_all = true;
    }
    if (code == fuse::Notify::InvalEntry) {
        m_notes.push_back(notifyMessage(
            code, {head, std::as_bytes(std::span(name)), std::as_bytes(std::span("", 1))}));
    } else {
        m_notes.push_back(notifyMessage(code, {head}));
    }
    ++m_queued;
    m_changed.notify_all();
}

void Outbox::inode(std::uint64_t node, bool dataToo)
{
    fuse::NotifyInvalInode head{node, dataToo ? 0 : -1, 0};
    push(fuse::Notify::InvalInode, bytesOfValue(head), {});
}

void Outbox::entry(std::uint64_t parent, std::string_view name)
{
    fuse::NotifyInvalEntry head{parent, static_cast<std::uint32_t>(name.size()), fuse::kExpireOnly};
    push(fuse::Notify::InvalEntry, bytesOfValue(head), name);
}

void Outbox::epoch()
{
    push(fuse::Notify::IncEpoch, {}, {});
}

void Outbox::everything()
{
    std::lock_guard lock(m_mutex);
    m_notes.clear();
    m_all = true;
    m_changed.notify_all();
}

void Outbox::inject(InjectionOrder order)
{
    std::lock_guard lock(m_mutex);
    if (m_injector == 0 || m_orders.size() >= kMaxOrders) return;
    m_orders.push_back({std::move(order), m_queued});
    m_changed.notify_all();
}

void Outbox::injectorIs(std::uint32_t pid)
{
    std::lock_guard lock(m_mutex);
    m_injector = pid;
    if (pid == 0) {
        m_orders.clear();
        m_current.reset();
    }
    m_changed.notify_all();
}

void Outbox::injectionDone(std::uint64_t sequence)
{
    std::lock_guard lock(m_mutex);
    if (sequence != m_sequence) return;
    m_current.reset();
    m_changed.notify_all();
}

std::optional<InjectionOrder> Outbox::current(std::uint32_t pid) const
{
    std::lock_guard lock(m_mutex);
    if (m_injector == 0 || pid != m_injector) return std::nullopt;
    return m_current;
}

void Outbox::injectorAsked(std::uint32_t pid, bool newName)
{
    std::lock_guard lock(m_mutex);
    if (!m_current || pid != m_injector) return;
    (newName ? m_current->newNameAsked : m_current->nameAsked) = true;
}

std::uint64_t Outbox::sent() const
{
    std::lock_guard lock(m_mutex);
    return m_sent;
}

void Outbox::sendNotes()
{
    std::unique_lock lock(m_mutex);
    for (;;) {
        m_changed.wait(lock,
                       [this] { return m_stopping || (m_stream && (m_all || !m_notes.empty())); });
        if (m_stopping) return;
        if (m_all) {
            m_all = false;
            m_telling = true;
            lock.unlock();
            m_everything(*this);
            lock.lock();
            m_telling = false;
            for (auto& waiting : m_orders) waiting.afterNotes = m_queued;
            continue;
        }
        Message note = std::move(m_notes.front());
        m_notes.pop_front();
        auto stream = m_stream;
        m_writing = true;
        lock.unlock();
        bool written = stream->write(note);
        lock.lock();
        m_writing = false;
        if (!m_orders.empty()) m_changed.notify_all();
        if (written) {
            ++m_sent;
        } else {
            m_notes.push_front(std::move(note));
            if (m_stream == stream) m_stream.reset();
        }
    }
}

bool Outbox::mayInject() const
{
    if (!m_stream || !m_injector || m_orders.empty() || m_all || m_telling) return false;
    return m_queued - m_notes.size() - (m_writing ? 1 : 0) >= m_orders.front().afterNotes;
}

void Outbox::sendInjections()
{
    std::unique_lock lock(m_mutex);
    for (;;) {
        m_changed.wait(lock, [this] { return m_stopping || mayInject(); });
        if (m_stopping) return;
        m_current = std::move(m_orders.front().order);
        m_orders.pop_front();
        const InjectionOrder order = *m_current;
        fuse::InjectBody body{++m_sequence, order.what, order.mode,
                              static_cast<std::uint32_t>(order.path.size()),
                              static_cast<std::uint32_t>(order.newPath.size())};
        auto stream = m_stream;
        lock.unlock();
        bool written = stream->write(entryMessage(order.directory, order.name));
        if (order.what == fuse::Injection::Rename) {
            written = written && stream->write(entryMessage(order.newDirectory, order.newName));
        }
        written = written && stream->write(notifyMessage(
                                 fuse::Notify::Inject,
                                 {bytesOfValue(body), std::as_bytes(std::span(order.path)),
                                  std::as_bytes(std::span(order.newPath))}));
        lock.lock();
        if (written && !m_changed.wait_for(lock, kMaxInjection, [this] {
                return m_stopping || !m_current || !m_stream;
            })) {
            log::warn("files: no answer for the event of {} within {} s", order.path,
                      kMaxInjection.count());
        }
        m_current.reset();
    }
}

}  // namespace slipway
