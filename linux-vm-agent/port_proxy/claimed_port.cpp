#include "linux-vm-agent/port_proxy/claimed_port.h"

#include <algorithm>
#include <array>

#include "shared/core/number.h"

namespace slipway {

std::string toText(const ClaimedPort& port)
{
    return port.protocol + " " + port.hostAddress + " " + std::to_string(port.hostPort) + " " +
           port.containerAddress + " " + std::to_string(port.containerPort) +
           (port.listener.empty() ? "" : " " + port.listener);
}

std::optional<std::uint16_t> parsePortNumber(std::string_view text)
{
    return numberIn<std::uint16_t>(text);
}

std::optional<ClaimedPort> parsePort(std::string_view text)
{
    std::array<std::string_view, 5> words;
    for (std::string_view& word : words) {
        bool last = &word == &words.back();
        std::size_t end = last ? std::min(text.find(' '), text.size()) : text.find(' ');
        if (end == std::string_view::npos || end == 0) return std::nullopt;
        word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    bool listens = text.starts_with("container ") || text.starts_with("service ");
    if (!text.empty() && !listens) return std::nullopt;
    auto hostPort = parsePortNumber(words[2]);
    auto containerPort = parsePortNumber(words[4]);
    if (!hostPort || !containerPort) return std::nullopt;
    return ClaimedPort{std::string(words[0]), std::string(words[1]), *hostPort,
                       std::string(words[3]), *containerPort,        std::string(text)};
}

}  // namespace slipway
