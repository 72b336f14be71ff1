// The commands. Each prints its result on standard output and returns its exit code; an error is
// for main to print.
#pragma once

#include <cstdint>
#include <string>

#include "shared/paths/home.h"

namespace slipway {

Result<int> startCommand(const Home& home);
Result<int> stopCommand(const Home& home);
Result<int> restartCommand(const Home& home);
Result<int> statusCommand(const Home& home, bool json);
Result<int> portsCommand(const Home& home, bool json, bool watch);
Result<int> sharesCommand(const Home& home, bool json);
Result<int> endpointCommand(const Home& home, bool asExport);
// The endpoint over TCP: `how` is tls, plain or off; an empty address and port 0 are the usual
// ones.
struct TcpWanted {
    std::string how;
    std::string address;
    std::uint16_t port = 0;
};
Result<int> tcpEndpointCommand(const Home& home, const TcpWanted& wanted);
Result<int> exportCertificatesCommand(const Home& home, const std::string& folder);

// Tells the mode; one that is named (nat, host) is set first.
Result<int> egressCommand(const Home& home, const std::string& mode);

// Of the engines that the endpoint can lead to.
Result<int> listEnginesCommand(const Home& home);
Result<int> engineStatusCommand(const Home& home);
Result<int> useEngineCommand(const Home& home, const std::string& name);
Result<int> addWindowsEngineCommand(const Home& home, const std::string& host,
                                    const std::string& tlsFolder);
Result<int> removeWindowsEngineCommand(const Home& home);

Result<int> resetCommand(const Home& home, bool yes);
Result<int> uninstallCommand(const Home& home, bool yes);

}  // namespace slipway
