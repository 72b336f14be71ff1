// SIGTERM and SIGINT as a call on the loop.
#pragma once

#include <array>
#include <functional>

#include "shared/io/loop.h"

namespace slipway {

class QuitSignals {
public:
    QuitSignals(Loop& loop, std::function<void()> quit);

private:
    std::function<void()> m_quit;
    std::array<UvHandle<uv_signal_t>, 2> m_signals;
};

}  // namespace slipway
