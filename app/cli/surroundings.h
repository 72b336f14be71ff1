// The facts that only the asking shell knows, added to what the bridge says.
#pragma once

#include <optional>
#include <string>

#include "shared/paths/home.h"
#include "shared/proto/bridge.pb.h"

namespace slipway {

struct Surroundings {
    std::string dockerHost;  // DOCKER_HOST; empty when unset.
    std::string currentContext;
    std::filesystem::path userHome;
    bool display = false;
    std::optional<v1::Process> desktop;
};
Surroundings surroundingsOf(const Home& home, const User& user);

// Puts them into the state: whether the context is current, the desktop's process, and a warning
// where DOCKER_HOST leads elsewhere.
void addSurroundings(v1::State& state, const Surroundings& around);

void addWarning(v1::State& state, std::string text, std::string remedy);

// The tray's process, by the lock it holds in run/desktop.lock.
std::optional<v1::Process> desktopProcess(const Home& home);

}  // namespace slipway
