#include "app/cli/progress.h"

#include <cstdio>

#include <fmt/format.h>

#include "app/cli/status_text.h"
#include "app/cli/terminal.h"

namespace slipway {

Progress::Progress(v1::Bridge::Stub& bridge)
    : m_terminal(stderrIsTerminal()), m_watcher([this, &bridge] { watch(bridge); })
{
}

Progress::~Progress()
{
    m_call.TryCancel();
    m_watcher.join();
    if (m_terminal && !m_shown.empty()) fmt::print(stderr, "\r\x1b[K");
}

void Progress::watch(v1::Bridge::Stub& bridge)
{
    auto stream = bridge.WatchState(&m_call, {});
    v1::State state;
    while (stream->Read(&state)) show(state);
    stream->Finish();
}

void Progress::show(const v1::State& state)
{
    bool underWay =
        state.condition() == v1::CONDITION_STARTING || state.condition() == v1::CONDITION_STOPPING;
    if (!underWay) return;
    std::string text{nameOf(state.condition())};
    if (!state.reason().empty()) text += ": " + state.reason();
    if (text == m_shown) return;
    m_shown = text;
    if (m_terminal)
        fmt::print(stderr, "\r\x1b[K{}", text);
    else
        fmt::print(stderr, "{}\n", text);
    std::fflush(stderr);
}

}  // namespace slipway
