// The body of containers/create: host paths in, machine paths out.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/engine/bind_records.h"
#include "wsl-bridge/engine/host_folder.h"

namespace slipway {

struct CreateRequest {
    std::string body;                              // For the engine.
    std::vector<BindRecord> binds;                 // What was changed in it.
    std::vector<std::filesystem::path> hostPaths;  // Canonical: what the container will see.
};

using FindHostFolder =
    std::function<Result<std::filesystem::path>(const std::string& spelled, Missing)>;

// Edits HostConfig.Binds and the bind mounts of HostConfig.Mounts in place; `find` is asked for
// each host path, those that it may refuse first. A body that is no JSON stays as it is: dockerd
// answers it.
Result<CreateRequest> editCreate(std::string_view body, const std::filesystem::path& endpointSocket,
                                 const FindHostFolder& find);

}  // namespace slipway
