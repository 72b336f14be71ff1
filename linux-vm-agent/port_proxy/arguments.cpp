#include "linux-vm-agent/port_proxy/arguments.h"

#include <map>

namespace slipway {
namespace {

// Engines from 28 on say with it that they hold the port in the machine; to the host it is all the
// same.
constexpr std::string_view kUseListenFd = "use-listen-fd";

}  // namespace

std::variant<ClaimedPort, std::string> parseArguments(std::span<const std::string_view> arguments)
{
    std::map<std::string_view, std::string_view> values{{"proto", ""},
                                                        {"host-ip", ""},
                                                        {"host-port", ""},
                                                        {"container-ip", ""},
                                                        {"container-port", ""}};
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        std::string_view name = arguments[i];
        if (!name.starts_with('-')) return "unexpected argument " + std::string(name);
        name.remove_prefix(name.starts_with("--") ? 2 : 1);
        std::size_t equals = name.find('=');
        bool hasValue = equals != std::string_view::npos;
        std::string_view value = hasValue ? name.substr(equals + 1) : "";
        name = name.substr(0, equals);
        if (name == kUseListenFd) continue;
        auto known = values.find(name);
        if (known == values.end()) return "unknown argument -" + std::string(name);
        if (!hasValue && ++i == arguments.size()) return "no value for -" + std::string(name);
        known->second = hasValue ? value : arguments[i];
    }
    for (const auto& [name, value] : values)
        if (value.empty()) return "no value for -" + std::string(name);
    auto hostPort = parsePortNumber(values["host-port"]);
    if (!hostPort) return "-host-port " + std::string(values["host-port"]) + " is no port";
    auto containerPort = parsePortNumber(values["container-port"]);
    if (!containerPort)
        return "-container-port " + std::string(values["container-port"]) + " is no port";
    return ClaimedPort{std::string(values["proto"]),
                       std::string(values["host-ip"]),
                       *hostPort,
                       std::string(values["container-ip"]),
                       *containerPort,
                       {}};
}

}  // namespace slipway
