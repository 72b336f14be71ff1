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
using MessageEdit = std::function<std::string(const std::string&)>;
std::string withMessage(std::string_view errorBody, const MessageEdit& edit);
// And for a line of a stream that tells how a pull or a build goes on: {"error":…,
// "errorDetail":{"message":…}} (moby/moby, pkg/jsonmessage).
std::string withStreamedError(std::string_view line, const MessageEdit& edit);

}  // namespace slipway
