// Where the engine's things lie in the machine.
#pragma once

namespace slipway {

// On a tmpfs: empty when the machine begins.
inline constexpr const char* kRunDir = "/run/slipway";
inline constexpr const char* kEngineBinDir = "/run/slipway/bin";
inline constexpr const char* kDaemonJsonFile = "/run/slipway/daemon.json";
inline constexpr const char* kRefusedKeysFile = "/run/slipway/refused-keys";  // See RefusedKeys.
inline constexpr const char* kContainerdConfigFile = "/run/slipway/containerd.toml";
// ConfigureRequest.
inline constexpr const char* kConfigurationFile = "/run/slipway/configuration";
inline constexpr const char* kEngineLogFile = "/var/log/slipway/engine.log";
inline constexpr const char* kEngineSocket = "/run/slipway/engine.sock";
inline constexpr const char* kEnginePidFile = "/run/docker.pid";
inline constexpr const char* kContainerdSocket = "/run/containerd/containerd.sock";
inline constexpr const char* kEngineDataDir = "/var/lib/docker";
inline constexpr const char* kSwarmStateFile = "/var/lib/docker/swarm/docker-state.json";
inline constexpr const char* kPortProxy = "/usr/lib/slipway/slipway-port-proxy";

}  // namespace slipway
