#include "wsl-bridge/egress/host_proxies.h"

#include <array>

#include "shared/json/json.h"

namespace slipway {
namespace {

namespace json = boost::json;

// As Go's net/http looks for them, and the key of daemon.json.
struct Variable {
    const char* upper;
    const char* lower;
    const char* key;
};
constexpr std::array kVariables{Variable{"HTTP_PROXY", "http_proxy", "http-proxy"},
                                Variable{"HTTPS_PROXY", "https_proxy", "https-proxy"},
                                Variable{"NO_PROXY", "no_proxy", "no-proxy"}};

// http://user:password@127.0.0.1:3128/ with another host.
std::string seenFromMachine(std::string url, const std::string& hostAddress)
{
    auto scheme = url.find("://");
    auto begin = scheme == std::string::npos ? 0 : scheme + 3;
    auto authorityEnd = std::min(url.find('/', begin), url.size());
    auto user = url.rfind('@', authorityEnd);
    if (user != std::string::npos && user >= begin) begin = user + 1;
    auto end =
        url[begin] == '[' ? url.find(']', begin) + 1 : std::min(url.find(':', begin), authorityEnd);
    auto host = url.substr(begin, end - begin);
    bool loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    return loopback ? url.replace(begin, end - begin, hostAddress) : url;
}

}  // namespace

std::string withHostProxies(const std::string& daemonJson, const std::string& hostAddress,
                            const std::function<std::string(const char*)>& environment)
{
    json::object proxies;
    for (const Variable& variable : kVariables) {
        auto value = environment(variable.upper);
        if (value.empty()) value = environment(variable.lower);
        if (value.empty()) continue;
        bool isProxy = std::string_view(variable.key) != "no-proxy";
        proxies[variable.key] = isProxy ? seenFromMachine(value, hostAddress) : value;
    }
    bool none = daemonJson.find_first_not_of(" \t\r\n") == std::string::npos;
    auto users = parseJson(none ? "{}" : daemonJson, "daemon.json");
    // One that can't be read is for the agent to tell of.
    if (proxies.empty() || !users || !users->is_object()) return daemonJson;
    if (users->as_object().contains("proxies")) return daemonJson;
    users->as_object()["proxies"] = std::move(proxies);
    return json::serialize(*users);
}

}  // namespace slipway
