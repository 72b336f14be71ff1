// The questions that the server would answer alike whatever there is on the host: its agent does so
// in its place.
#pragma once

#include <optional>

#include "shared/fuse/request.h"

namespace slipway::fuse {

// The error of the answer, which has no data; Errno{} is success. None: the server must be asked.
std::optional<Errno> fixedAnswer(const Request& request);

}  // namespace slipway::fuse
