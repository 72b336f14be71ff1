// A host of a test's own: a mount and a network namespace in which engines, rules, bridges and
// sockets can be real ones, and things can be taken away that the host has.
#pragma once

#include <chrono>
#include <string>

#include "shared/core/error.h"
#include "tests/support/host_ports.h"
#include "tests/support/slipway_fixture.h"

namespace slipway::test {

inline constexpr const char* kStart = "\"$SLIPWAY_BIN/slipway\" start";

// From here on, for the calling thread and what it starts: no network but a loopback, /run empty,
// and /mnt a scratch folder.
Result<> enterOwnHost();

// A script that may use the functions of tests/support/host_cases.sh; it ends with the first
// failure.
Output bash(const std::string& script, std::chrono::seconds limit = std::chrono::seconds(60));

// A command in the fixture's environment, in a mount namespace of its own that the script `prepare`
// has changed. Neither may contain a single quote.
Output inWorld(SlipwayFixture& slipway, const std::string& prepare, const std::string& command);

// Of the machine that `slipway status --json` shows.
std::string machineText(SlipwayFixture& slipway, const char* key);

// A shell command that serves `text` on port 80, for containers with busybox in their /bin.
std::string serving(const std::string& text);
// Whether this text comes from a port of 127.0.0.1, at last.
bool serves(int port, const std::string& text);

}  // namespace slipway::test
