// The commands. Each prints its result on standard output and returns its exit code; an error is
// for main to print.
#pragma once

#include "shared/paths/home.h"

namespace slipway {

Result<int> startCommand(const Home& home);
Result<int> stopCommand(const Home& home);
Result<int> restartCommand(const Home& home);
Result<int> statusCommand(const Home& home, bool json);
Result<int> portsCommand(const Home& home, bool json);
Result<int> sharesCommand(const Home& home, bool json);
Result<int> endpointCommand(const Home& home, bool asExport);
Result<int> resetCommand(const Home& home, bool yes);
Result<int> uninstallCommand(const Home& home, bool yes);

}  // namespace slipway
