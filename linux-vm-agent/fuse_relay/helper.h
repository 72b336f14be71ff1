// A child of the agent with which it exchanges messages over the child's standard input.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "shared/fuse/message_stream.h"
#include "shared/process/child.h"

namespace slipway {

struct Helper {
    Child child;
    std::shared_ptr<fuse::MessageStream> stream;  // Ends when the child does.
};

// Its output is ours.
Result<Helper> startHelper(const std::filesystem::path& program, std::vector<std::string> args,
                           std::vector<InheritedFd> fds = {});

}  // namespace slipway
