#include "app/cli/progress.h"

#include <cstdio>

#include <fmt/format.h>

#include "app/cli/status_text.h"
#include "app/cli/terminal.h"
#include "app/cli/text.h"

namespace slipway {

Progress::Progress(v1::Bridge::Stub& bridge)
    : m_columns(stderrColumns()), m_watcher([this, &bridge] { watch(bridge); })
{
}

Progress::~Progress()
{
    m_call.TryCancel();
    m_watcher.join();
    if (m_columns && !m_shown.empty()) fmt::print(stderr, "\r\x1b[K");
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
    std::string text = conditionText(state);
    if (text == m_shown) return;
    m_shown = text;
    if (m_columns)  // One that reached the next line could not be wiped.
        fmt::print(stderr, "\r\x1b[K{}", shortened(text, m_columns - 1));
    else
        fmt::print(stderr, "{}\n", text);
    std::fflush(stderr);
}

}  // namespace slipway
