// Bodies of requests that name binds: host paths in, machine paths out; and the ports they ask for.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/engine/api_call.h"
#include "wsl-bridge/engine/bind_records.h"
#include "wsl-bridge/engine/host_folder.h"

namespace slipway {

struct EditedRequest {
    std::string body;                              // For the engine.
    std::vector<BindRecord> binds;                 // What was changed in it.
    std::vector<PortRequest> ports;                // Of a container.
    std::vector<std::filesystem::path> hostPaths;  // Canonical: what the containers will see.
};

// Whether the body of such a call may name binds.
bool namesBinds(ApiCall call);

using FindHostFolder =
    std::function<Result<std::filesystem::path>(const std::string& spelled, Missing)>;

// Edits in place the sources of bind mounts, and the devices of local volumes that are binds;
// `find` is asked for each host path, those that it may refuse first. An empty body stays for
// dockerd to answer; one that is no JSON, or could be read in two ways, is InvalidArgument.
Result<EditedRequest> editRequest(ApiCall call, std::string_view body,
                                  const std::vector<std::filesystem::path>& endpointSockets,
                                  const FindHostFolder& find);

}  // namespace slipway
