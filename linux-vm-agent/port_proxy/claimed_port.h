// A port that is to be published, and the one-line text in which port proxies and the agent speak
// of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace slipway {

// As dockerd gives it: 0.0.0.0 or :: where the user named no address.
struct ClaimedPort {
    std::string protocol;
    std::string hostAddress;
    std::uint16_t hostPort = 0;
    std::string containerAddress;
    std::uint16_t containerPort = 0;
    // Where no port proxy claims: who listens by itself in the machine's network. "container web",
    // "service web".
    std::string listener;

    bool operator==(const ClaimedPort&) const = default;
};

// "tcp 0.0.0.0 8080 172.17.0.2 80", and a listener after it: "… container web".
std::string toText(const ClaimedPort& port);
std::optional<ClaimedPort> parsePort(std::string_view text);
std::optional<std::uint16_t> parsePortNumber(std::string_view text);  // 0 to 65535.

// The agent's socket for port proxies. A proxy sends one line, `claim PORT` or, once it has been
// answered and the agent was started anew, `restate PORT`. The agent answers a claim "0\n", or
// "1\n" with the reason and the end of the stream: what dockerd wants to read. The stream is the
// claim's lease from then on; a last line says how it ends: `withdraw` for good, `leave` because
// dockerd ended.
inline constexpr const char* kPortsSocket = "/run/slipway/ports.sock";
inline constexpr std::string_view kClaimWord = "claim ";
inline constexpr std::string_view kRestateWord = "restate ";
inline constexpr std::string_view kWithdrawWord = "withdraw";
inline constexpr std::string_view kLeaveWord = "leave";
inline constexpr std::string_view kGranted = "0\n";
inline constexpr std::string_view kRefused = "1\n";

}  // namespace slipway
