// Runs a loop until something has come true; tests never sleep.
#pragma once

#include <chrono>
#include <functional>

#include "shared/io/loop.h"

namespace slipway::test {

// False if `timeout` passed first.
inline bool runUntil(Loop& loop, const std::function<bool()>& condition,
                     std::chrono::milliseconds timeout = std::chrono::seconds(5))
{
    auto end = std::chrono::steady_clock::now() + timeout;
    Timer tick(loop);
    tick.every(std::chrono::milliseconds(5), [] {});  // Wakes the loop, so that time is looked at.
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        uv_run(loop.uv(), UV_RUN_ONCE);
    }
    return true;
}

}  // namespace slipway::test
