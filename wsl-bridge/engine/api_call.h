// Which Docker API calls the proxy has something to do with.
#pragma once

#include <string_view>

namespace slipway {

enum class ApiCall {
    Other,  // Relayed unread, but for error messages.
    ContainerCreate,
    ContainerInspect,
    ContainerList,
    ContainerChange,  // What may change which containers run, and how they are called.
    SwarmEnter,       // init, join
    SwarmLeave,
};

// With and without an API version in the path; dockerd compares the decoded path.
ApiCall apiCallOf(std::string_view method, std::string_view target);

}  // namespace slipway
