// Answers of the engine with its machine paths turned back into the host paths that users wrote.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "wsl-bridge/engine/bind_records.h"

namespace slipway {

// A bind's source as the user knows it: as recorded, else the host's own name of it, else
// unchanged.
std::string shownSource(const BindRecords& records, const std::string& containerId,
                        std::string_view destination, const std::string& machinePath);

// Each gives the body with only those strings changed; one that is no JSON stays as it is.
std::string withHostPathsOfContainer(std::string_view inspected, const BindRecords& records);
std::string withHostPathsOfContainers(std::string_view listed, const BindRecords& records);
// The same for an error's body, of which `edit` gives the message anew.
std::string withMessage(std::string_view errorBody,
                        const std::function<std::string(const std::string&)>& edit);

}  // namespace slipway
