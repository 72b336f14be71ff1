// Waiting for what is likely to come at once.
#pragma once

#include <chrono>
#include <optional>
#include <thread>

namespace slipway {

// To be woken up on a core that has gone idle costs some 30 us in a virtual machine, as much as all
// the work between a question and its answer. So one who is in the midst of a conversation looks
// again for a while, giving way to whoever has work, before it sleeps. One waiter's; not
// thread-safe.
class EagerWait {
public:
    // `look` returns what has come, if anything, without waiting; `sleep` waits for it.
    template <class Look, class Sleep>
    auto operator()(const Look& look, const Sleep& sleep) -> decltype(sleep())
    {
        auto begun = Clock::now();
        while (m_expected) {
            if (auto found = look()) return *std::move(found);
            if (Clock::now() - begun > kEager) break;
            std::this_thread::yield();
        }
        auto found = sleep();
        m_expected = Clock::now() - begun < kSoon;
        return found;
    }

private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::microseconds kEager{100};
    static constexpr std::chrono::microseconds kSoon{200};

    bool m_expected = false;  // The last one came soon.
};

}  // namespace slipway
