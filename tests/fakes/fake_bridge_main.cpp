// The fake bridge as a program, to be launched where slipway-bridge would be. It holds the home's
// lock and ends when it is told to quit. FAKE_BRIDGE_DIES makes it end at once: "always", or
// "once", the first time in that home, with a word in its log alone; "early" with a word on
// standard error.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string_view>

#include <unistd.h>

#include "shared/paths/home.h"
#include "tests/fakes/fake_bridge.h"
#include "wsl-bridge/home_lock.h"

int main()
{
    using namespace slipway;
    auto home = slipwayHome();
    const char* set = std::getenv("FAKE_BRIDGE_DIES");
    std::string_view dies = set ? set : "";
    if (!home) return 2;
    if (dies == "early") {
        std::cerr << "slipway-bridge: make /nowhere: read-only file system\n";
        return 1;
    }
    std::filesystem::create_directories(home->runDir());
    std::filesystem::create_directories(home->logDir());
    bool firstTime = !std::filesystem::exists(home->logDir() / "bridge.log");
    std::ofstream(home->logDir() / "bridge.log", std::ios::app)
        << "2026-11-01T10:00:00.000Z error no machine can be had here\n";
    if (dies == "always" || (dies == "once" && firstTime)) return 7;
    auto lock = HomeLock::take(*home);
    if (!lock) return 3;
    v1::State state;
    state.set_condition(v1::CONDITION_STOPPED);
    state.mutable_engine()->set_version("26.1.5");
    state.mutable_endpoint()->set_url(home->endpointUrl());
    auto* process = state.add_processes();
    process->set_name("slipway-bridge");
    process->set_pid(static_cast<std::uint32_t>(::getpid()));
    test::FakeBridge bridge(home->bridgeSocket());
    bridge.setState(state);
    bridge.waitForQuit();
}
