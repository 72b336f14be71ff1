// Messages from the loop to a thread that may block.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace slipway {

template <class Message>
class Outbox {
public:
    void push(Message message)
    {
        std::lock_guard lock(m_mutex);
        m_messages.push_back(std::move(message));
        m_changed.notify_one();
    }

    // No more is taken out; whoever waits is woken.
    void close()
    {
        std::lock_guard lock(m_mutex);
        m_closed = true;
        m_changed.notify_one();
    }

    // The next message; nothing once it is closed, or after `patience`.
    std::optional<Message> take(std::chrono::milliseconds patience)
    {
        std::unique_lock lock(m_mutex);
        m_changed.wait_for(lock, patience, [this] { return m_closed || !m_messages.empty(); });
        if (m_closed || m_messages.empty()) return std::nullopt;
        Message message = std::move(m_messages.front());
        m_messages.pop_front();
        return message;
    }

    bool closed()
    {
        std::lock_guard lock(m_mutex);
        return m_closed;
    }

private:
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::deque<Message> m_messages;
    bool m_closed = false;
};

}  // namespace slipway
