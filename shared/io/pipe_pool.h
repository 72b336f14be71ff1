// Pipes for bytes in transit, lent for as long as they hold some.
#pragma once

#include <memory>

#include "shared/io/kernel_pipe.h"

namespace slipway {

// Goes back to the thread that it was lent on.
struct PipeReturn {
    void operator()(KernelPipe* pipe) const;
};
using LentPipe = std::unique_ptr<KernelPipe, PipeReturn>;

// Empty. Null where the user may not have one, or the thread has enough of them under way.
LentPipe lendPipe();

}  // namespace slipway
