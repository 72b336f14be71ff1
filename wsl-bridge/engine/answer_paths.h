// Answers of the engine with its machine paths turned back into the host paths that users wrote.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "wsl-bridge/engine/api_call.h"
#include "wsl-bridge/engine/bind_records.h"

namespace slipway {

// Whether a good answer to such a call may hold a bind's path.
bool showsBinds(ApiCall call);

// The body with only those strings changed; one that is no JSON stays as it is.
std::string withHostPaths(ApiCall call, std::string_view body, const Records& records);
// The same for an error's body, of which `edit` gives the message anew.
std::string withMessage(std::string_view errorBody,
                        const std::function<std::string(const std::string&)>& edit);

}  // namespace slipway
