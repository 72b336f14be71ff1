#include "shared/io/loop.h"

#include <fmt/format.h>

namespace slipway {
namespace {

Code codeOfUv(int uvError)
{
    switch (uvError) {
        case UV_ENOENT:
        case UV_ESRCH:
        case UV_ENODEV:
            return Code::NotFound;
        case UV_EADDRINUSE:
        case UV_EEXIST:
            return Code::AlreadyExists;
        case UV_EACCES:
        case UV_EPERM:
            return Code::PermissionDenied;
        case UV_EINVAL:
        case UV_ENAMETOOLONG:
        case UV_EADDRNOTAVAIL:
            return Code::InvalidArgument;
        case UV_EMFILE:
        case UV_ENFILE:
        case UV_ENOMEM:
        case UV_ENOBUFS:
            return Code::ResourceExhausted;
        case UV_ECONNREFUSED:
        case UV_ECONNRESET:
        case UV_EPIPE:
        case UV_ENETUNREACH:
        case UV_EHOSTUNREACH:
            return Code::Unavailable;
        case UV_ETIMEDOUT:
            return Code::DeadlineExceeded;
        case UV_ECANCELED:
            return Code::Cancelled;
        default:
            return Code::Unknown;
    }
}

}  // namespace

tl::unexpected<Error> failUv(std::string_view what, int uvError)
{
    return fail(codeOfUv(uvError), fmt::format("{}: {}", what, uv_strerror(uvError)));
}

Loop::Loop()
{
    ignoreBrokenPipes();
    CHECK(uv_loop_init(&m_loop) == 0);
    m_wakeUp.reset(new uv_async_t{});
    CHECK(uv_async_init(&m_loop, m_wakeUp.get(), [](uv_async_t* handle) {
              if (handle->data) static_cast<Loop*>(handle->data)->drain();
          }) == 0);
    m_wakeUp->data = this;
}

Loop::~Loop()
{
    m_wakeUp.reset();
    m_posted.clear();
    uv_run(&m_loop, UV_RUN_NOWAIT);  // Runs the close callbacks of what died before.
    CHECK(uv_loop_close(&m_loop) == 0);
}

void Loop::run()
{
    m_thread = std::this_thread::get_id();
    uv_run(&m_loop, UV_RUN_DEFAULT);
}

void Loop::stop()
{
    post([this] { uv_stop(&m_loop); });
}

void Loop::post(std::function<void()> work)
{
    {
        std::lock_guard lock(m_mutex);
        m_posted.push_back(std::move(work));
    }
    uv_async_send(m_wakeUp.get());
}

bool Loop::onOwnThread() const
{
    return std::this_thread::get_id() == m_thread;
}

void Loop::drain()
{
    std::vector<std::function<void()>> posted;
    {
        std::lock_guard lock(m_mutex);
        posted.swap(m_posted);
    }
    for (auto& work : posted) work();
}

Timer::Timer(Loop& loop) : m_timer(new uv_timer_t{})
{
    CHECK(uv_timer_init(loop.uv(), m_timer.get()) == 0);
}

void Timer::after(Ms delay, std::function<void()> due)
{
    start(delay, Ms{0}, std::move(due));
}

void Timer::every(Ms period, std::function<void()> due)
{
    start(period, period, std::move(due));
}

void Timer::start(Ms delay, Ms period, std::function<void()> due)
{
    m_due = std::move(due);
    m_timer->data = this;
    uv_update_time(m_timer->loop);
    uv_timer_start(
        m_timer.get(),
        [](uv_timer_t* handle) {
            if (!handle->data) return;
            auto& self = *static_cast<Timer*>(handle->data);
            // A copy: the callback may destroy the timer, or start it anew.
            auto callback = self.m_due;
            callback();
        },
        static_cast<std::uint64_t>(delay.count()), static_cast<std::uint64_t>(period.count()));
}

void Timer::stop()
{
    uv_timer_stop(m_timer.get());
    m_due = nullptr;
}

}  // namespace slipway
