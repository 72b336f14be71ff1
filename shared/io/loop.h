// The event loop: one a thread. Everything made with a loop lives and is called on its thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <uv.h>

#include "shared/core/error.h"

namespace slipway {

// Owns a libuv handle. The handle is closed when the owner dies; its `data` becomes null at that
// moment, and every callback returns early on a null `data`, so a dead owner is never called.
template <class T>
struct UvCloser {
    void operator()(T* handle) const
    {
        handle->data = nullptr;
        uv_close(reinterpret_cast<uv_handle_t*>(handle),
                 [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
    }
};
template <class T>
using UvHandle = std::unique_ptr<T, UvCloser<T>>;

// "bind: address in use" and its code, from one of libuv's negative numbers.
tl::unexpected<Error> failUv(std::string_view what, int uvError);

// A write to a stream whose peer has gone is an error of that write, never the signal that ends the
// process: every Loop sees to that.
void ignoreBrokenPipes();

class Loop {
public:
    Loop();
    ~Loop();  // Closes what is left. Nothing made with the loop may outlive it but closed handles.
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void run();   // Until stop().
    void stop();  // From any thread.

    // Runs `work` on the loop's thread, never before post() has returned. From any thread.
    void post(std::function<void()> work);

    bool onOwnThread() const;
    uv_loop_t* uv() { return &m_loop; }

private:
    void drain();

    uv_loop_t m_loop{};
    UvHandle<uv_async_t> m_wakeUp;
    std::mutex m_mutex;
    std::vector<std::function<void()>> m_posted;  // Guarded by m_mutex.
    std::thread::id m_thread = std::this_thread::get_id();
};

// Calls back once, or every `period`, until it dies or is started anew.
class Timer {
public:
    using Ms = std::chrono::milliseconds;
    explicit Timer(Loop& loop);

    void after(Ms delay, std::function<void()> due);
    void every(Ms period, std::function<void()> due);
    void stop();

private:
    void start(Ms delay, Ms period, std::function<void()> due);

    UvHandle<uv_timer_t> m_timer;
    std::function<void()> m_due;
};

// A guard against calls that outlive their object: hold one as a member, wrap a callback in it, and
// the callback does nothing once the member is gone. For callbacks that other threads post to the
// loop.
class Alive {
public:
    template <class F>
    auto wrap(F f) const
    {
        return [alive = std::weak_ptr<bool>(m_alive), f = std::move(f)](auto&&... args) mutable {
            if (alive.lock()) f(std::forward<decltype(args)>(args)...);
        };
    }

    // Expired once the member is gone: for who calls back and wants to know what that has done.
    std::weak_ptr<bool> watch() const { return m_alive; }

private:
    std::shared_ptr<bool> m_alive = std::make_shared<bool>(true);
};

}  // namespace slipway
