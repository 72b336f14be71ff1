// The bridge's State as a person reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "shared/proto/bridge.pb.h"

namespace slipway {

// Exit codes of `slipway status`.
inline constexpr int kExitRunning = 0;
inline constexpr int kExitStopped = 3;
inline constexpr int kExitDegraded = 4;
inline constexpr int kExitTrouble = 5;
int exitCodeOf(v1::Condition condition);

std::string_view nameOf(v1::Condition condition);  // "running"

// What is being done, or the condition with its reason: "starting the engine", "trouble: …".
std::string conditionText(const v1::State& state);

struct Reader {
    std::int64_t nowUnixMs = 0;
    std::filesystem::path userHome;  // Written as ~.
    bool display = true;
    std::size_t columns = 0;  // Of the terminal; 0: lines of any length.
};

// The whole of it, with a line feed at the end; a section only where there is something to say.
std::string statusText(const v1::State& state, const Reader& reader);

// "windows, Docker 25.0.3 at tcp://10.0.0.5:2376", or what is wrong with it.
std::string engineLine(const v1::KnownEngine& engine);
std::string enginesText(const v1::State& state);  // A line each, the one in use marked.
bool usesWindows(const v1::State& state);

std::string portsText(const v1::State& state, const Reader& reader);
std::string sharesText(const v1::State& state, const Reader& reader);

}  // namespace slipway
