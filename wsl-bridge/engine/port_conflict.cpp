#include "wsl-bridge/engine/port_conflict.h"

#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace slipway {

std::string withPortHolder(std::string message,
                           const std::function<std::string(std::uint16_t)>& containerOn)
{
    // libnetwork/portallocator: "Bind for 0.0.0.0:8080 failed: port is already allocated"
    static constexpr std::string_view kFailed = " failed: port is already allocated";
    std::size_t failed = message.find(kFailed);
    if (failed == std::string::npos || failed == 0) return message;
    std::size_t colon = message.rfind(':', failed - 1);
    if (colon == std::string::npos) return message;
    std::uint16_t port = 0;
    const char* digitsEnd = message.data() + failed;
    auto [end, error] = std::from_chars(message.data() + colon + 1, digitsEnd, port);
    if (error != std::errc{} || end != digitsEnd) return message;
    std::string name = containerOn(port);
    if (name.empty()) return message;
    return message.insert(failed + kFailed.size(), fmt::format(": held by container \"{}\"", name));
}

}  // namespace slipway
