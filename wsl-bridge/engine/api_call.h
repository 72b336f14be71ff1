// Which Docker API calls the proxy has something to do with.
#pragma once

#include <string>
#include <string_view>

namespace slipway {

enum class ApiCall {
    Other,  // Relayed unread, but for error messages.
    ContainerCreate,
    ContainerInspect,
    ContainerList,
    ContainerChange,  // What may change which containers run, and how they are called.
    ServiceCreate,
    ServiceUpdate,
    ServiceInspect,
    ServiceList,
    ServiceRemove,
    TaskInspect,
    TaskList,
    VolumeCreate,
    VolumeInspect,
    VolumeList,
    VolumeRemove,  // One, or all that are unused.
    SystemDf,
    ImageStream,  // A pull, a build: told in a stream of JSON messages, of which the last may be an
                  // error.
    SwarmEnter,   // init, join
    SwarmLeave,
};

// With and without an API version in the path; dockerd compares the decoded path.
ApiCall apiCallOf(std::string_view method, std::string_view target);

// The name, the id or the beginning of an id in the path of a call about one thing; else empty.
std::string nameIn(std::string_view method, std::string_view target);

}  // namespace slipway
