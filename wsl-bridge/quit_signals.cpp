#include "wsl-bridge/quit_signals.h"

#include <csignal>

namespace slipway {

QuitSignals::QuitSignals(Loop& loop, std::function<void()> quit) : m_quit(std::move(quit))
{
    constexpr std::array kSignals{SIGTERM, SIGINT};
    for (std::size_t i = 0; i < m_signals.size(); ++i) {
        m_signals[i].reset(new uv_signal_t{});
        CHECK(uv_signal_init(loop.uv(), m_signals[i].get()) == 0);
        m_signals[i]->data = this;
        uv_signal_start(
            m_signals[i].get(),
            [](uv_signal_t* handle, int) {
                if (handle->data) static_cast<QuitSignals*>(handle->data)->m_quit();
            },
            kSignals[i]);
    }
}

}  // namespace slipway
