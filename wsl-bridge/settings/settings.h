// The user's settings: settings.json in SLIPWAY_HOME, read whenever the engine is started.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/net/docker_ports.h"

namespace slipway {

// How host files reach the machine; see ARCHITECTURE.md, "Files".
enum class FilesMode { Direct, Fuse };

// How connections to the engine and to published ports reach the machine's sockets: as those
// sockets, handed over by the agent, or relayed by it, each by a stream of its own or many by few.
// Where a machine has its own kernel they are always relayed.
enum class StreamsMode { Handed, Relayed, Multiplexed };

// Where a port is published when the user names no address.
enum class PublishAddress { Localhost, All };

// How what the machine sends to the outside leaves this host: as packets, forwarded by its kernel
// (or by slirp4netns), or as connections of the bridge, as VPN clients and proxies expect them.
enum class EgressMode { Nat, Host };

// The engines that clients may be led to: the machine's, and another one that runs Windows
// containers.
enum class EngineName { Linux, Windows };

struct WindowsEngine {
    std::string host;              // As docker takes it: see wsl-bridge/engine/engine_address.h.
    std::filesystem::path tlsDir;  // With ca.pem, cert.pem and key.pem. Empty: none.

    bool operator==(const WindowsEngine&) const = default;
};

// The endpoint over TCP as well.
struct TcpSettings {
    std::string address = "127.0.0.1";  // Numeric.
    std::uint16_t port = kDockerTlsPort;
    bool tls = true;  // Without it only on this host's own addresses.

    bool operator==(const TcpSettings&) const = default;
};

struct Settings {
    FilesMode files = FilesMode::Direct;
    StreamsMode streams = StreamsMode::Handed;
    PublishAddress publish = PublishAddress::Localhost;
    std::optional<EgressMode> egress;  // None: what works best here.
    // Ports of this host's loopback that containers reach by host.docker.internal. None: all.
    std::optional<std::vector<std::uint16_t>> hostServices;
    bool hostProxies = false;  // The engine is given HTTP_PROXY and the like of this host.
    std::filesystem::path
        rootfs;  // A tar.zst, or a folder used as it is. Empty: found by the bridge.
    std::optional<TcpSettings> tcp;
    std::optional<WindowsEngine> windows;
    EngineName engine = EngineName::Linux;  // Which one the endpoint leads to.
};

std::string_view name(FilesMode mode);
std::string_view name(EgressMode mode);
Result<EgressMode> egressNamed(std::string_view text);
std::string_view name(EngineName engine);
Result<EngineName> engineNamed(std::string_view text);

struct Complaint {
    std::string text;
    std::string remedy;
};

// What was read, and what the user should hear about it. Never an error: a file that can't be used
// is kept aside as <name>.bad, named with line and column in a complaint, and the defaults hold.
template <class T>
struct Loaded {
    T value;
    std::vector<Complaint> complaints;
};
Loaded<Settings> loadSettings(const std::filesystem::path& file);

// The same without a word: the defaults if the file can't be used, which stays where it is.
Settings peekSettings(const std::filesystem::path& file);

// These write one thing into the file; whatever else it says stays. The error names the file's
// trouble, and then it stays as it is.
Result<> saveEgress(const std::filesystem::path& file, EgressMode mode);
Result<> saveTcp(const std::filesystem::path& file, const std::optional<TcpSettings>& tcp);
// Which engines there are and which one is in use.
Result<> saveEngines(const std::filesystem::path& file, const std::optional<WindowsEngine>& windows,
                     EngineName inUse);

// The user's daemon.json as it stands; empty without one. Only its syntax is looked at here.
Loaded<std::string> loadDaemonJson(const std::filesystem::path& file);

}  // namespace slipway
