// Writing to /dev/fuse.
#pragma once

#include "shared/fuse/request.h"

namespace slipway {

// A whole answer or notice. What the kernel refuses is logged, unless it is no longer interested.
void writeToDevice(int device, fuse::Bytes message);

}  // namespace slipway
