// The host's HTTP proxies, as its programs know them by HTTP_PROXY and the like, for the engine.
#pragma once

#include <functional>
#include <string>

namespace slipway {

// The user's daemon.json (empty: none) with the key "proxies" for what the environment names,
// unless it has that key. A proxy on the host's own loopback is reached at `hostAddress`.
std::string withHostProxies(const std::string& daemonJson, const std::string& hostAddress,
                            const std::function<std::string(const char*)>& environment);

}  // namespace slipway
