#include "wsl-bridge/engine/api_call.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

#include "shared/http/head.h"

namespace slipway {
namespace {

std::vector<std::string_view> segmentsOf(std::string_view path)
{
    std::vector<std::string_view> segments;
    if (!path.starts_with('/')) return segments;
    for (;;) {
        path.remove_prefix(1);
        segments.push_back(path.substr(0, path.find('/')));
        path.remove_prefix(segments.back().size());
        if (path.empty()) return segments;
    }
}

bool isVersion(std::string_view segment)
{
    return segment.size() > 1 && segment.front() == 'v' &&
           std::all_of(segment.begin() + 1, segment.end(), [](char c) {
               return std::isdigit(static_cast<unsigned char>(c)) || c == '.';
           });
}

}  // namespace

ApiCall apiCallOf(std::string_view method, std::string_view target)
{
    static constexpr std::array<std::string_view, 8> kChanges = {
        "start", "stop", "restart", "kill", "pause", "unpause", "rename", "prune"};

    std::string path = http::pathOf(target);
    auto segments = segmentsOf(path);
    if (!segments.empty() && isVersion(segments.front())) segments.erase(segments.begin());
    if (segments.size() < 2) return ApiCall::Other;
    bool containers = segments[0] == "containers";
    if (method == "GET" && containers && segments.back() == "json") {
        if (segments.size() == 2) return ApiCall::ContainerList;
        if (segments.size() == 3) return ApiCall::ContainerInspect;
    }
    if (method == "DELETE" && containers && segments.size() == 2) return ApiCall::ContainerChange;
    if (method != "POST") return ApiCall::Other;
    if (containers && segments.size() == 2 && segments[1] == "create")
        return ApiCall::ContainerCreate;
    if (containers &&
        std::find(kChanges.begin(), kChanges.end(), segments.back()) != kChanges.end())
        return ApiCall::ContainerChange;
    if (segments[0] == "swarm" && segments.size() == 2) {
        if (segments[1] == "init" || segments[1] == "join") return ApiCall::SwarmEnter;
        if (segments[1] == "leave") return ApiCall::SwarmLeave;
    }
    return ApiCall::Other;
}

}  // namespace slipway
