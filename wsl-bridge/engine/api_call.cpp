#include "wsl-bridge/engine/api_call.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include "shared/http/head.h"

namespace slipway {
namespace {

struct Row {
    std::string_view method;
    std::string_view path;  // `*` is one segment.
    ApiCall call;
};

constexpr Row kCalls[] = {
    {"POST", "/containers/create", ApiCall::ContainerCreate},
    {"GET", "/containers/json", ApiCall::ContainerList},
    {"GET", "/containers/*/json", ApiCall::ContainerInspect},
    {"DELETE", "/containers/*", ApiCall::ContainerChange},
    {"POST", "/containers/prune", ApiCall::ContainerChange},
    {"POST", "/containers/*/start", ApiCall::ContainerChange},
    {"POST", "/containers/*/stop", ApiCall::ContainerChange},
    {"POST", "/containers/*/restart", ApiCall::ContainerChange},
    {"POST", "/containers/*/kill", ApiCall::ContainerChange},
    {"POST", "/containers/*/pause", ApiCall::ContainerChange},
    {"POST", "/containers/*/unpause", ApiCall::ContainerChange},
    {"POST", "/containers/*/rename", ApiCall::ContainerChange},
    {"POST", "/services/create", ApiCall::ServiceCreate},
    {"POST", "/services/*/update", ApiCall::ServiceUpdate},
    {"GET", "/services", ApiCall::ServiceList},
    {"GET", "/services/*", ApiCall::ServiceInspect},
    {"DELETE", "/services/*", ApiCall::ServiceRemove},
    {"GET", "/tasks", ApiCall::TaskList},
    {"GET", "/tasks/*", ApiCall::TaskInspect},
    {"POST", "/volumes/create", ApiCall::VolumeCreate},
    {"POST", "/volumes/prune", ApiCall::VolumeRemove},
    {"GET", "/volumes", ApiCall::VolumeList},
    {"GET", "/volumes/*", ApiCall::VolumeInspect},
    {"DELETE", "/volumes/*", ApiCall::VolumeRemove},
    {"GET", "/system/df", ApiCall::SystemDf},
    {"POST", "/images/create", ApiCall::ImageStream},
    {"POST", "/build", ApiCall::ImageStream},
    {"POST", "/swarm/init", ApiCall::SwarmEnter},
    {"POST", "/swarm/join", ApiCall::SwarmEnter},
    {"POST", "/swarm/leave", ApiCall::SwarmLeave},
};

bool isVersion(std::string_view segment)
{
    return segment.size() > 1 && segment.front() == 'v' &&
           std::all_of(segment.begin() + 1, segment.end(), [](char c) {
               return std::isdigit(static_cast<unsigned char>(c)) || c == '.';
           });
}

std::string_view withoutVersion(std::string_view path)
{
    if (!path.starts_with('/')) return path;
    std::string_view first = path.substr(1, path.substr(1).find('/'));
    return isVersion(first) ? path.substr(1 + first.size()) : path;
}

// What `*` stands for; empty if there is none. None if the path is another.
std::optional<std::string_view> match(std::string_view path, std::string_view pattern)
{
    std::size_t star = pattern.find('*');
    if (star == std::string_view::npos)
        return path == pattern ? std::optional(std::string_view()) : std::nullopt;
    std::string_view before = pattern.substr(0, star);
    std::string_view after = pattern.substr(star + 1);
    bool fits = path.size() > before.size() + after.size() && path.starts_with(before) &&
                path.ends_with(after);
    if (!fits) return std::nullopt;
    std::string_view name = path.substr(star, path.size() - before.size() - after.size());
    return name.find('/') == name.npos ? std::optional(name) : std::nullopt;
}

// The most specific one stands first.
const Row* rowOf(std::string_view method, std::string_view path)
{
    auto row = std::find_if(std::begin(kCalls), std::end(kCalls), [&](const Row& one) {
        return one.method == method && match(path, one.path);
    });
    return row == std::end(kCalls) ? nullptr : row;
}

}  // namespace

ApiCall apiCallOf(std::string_view method, std::string_view target)
{
    std::string path = http::pathOf(target);
    const Row* row = rowOf(method, withoutVersion(path));
    return row ? row->call : ApiCall::Other;
}

std::string nameIn(std::string_view method, std::string_view target)
{
    std::string path = http::pathOf(target);
    std::string_view plain = withoutVersion(path);
    const Row* row = rowOf(method, plain);
    return row ? std::string(*match(plain, row->path)) : std::string();
}

}  // namespace slipway
