// Holds the files that have no name any more and that the machine still has open, so that they
// outlive the bridge.
//
// A small process of its own, started for the first such file. It ends when nobody is connected and
// it holds nothing. A bridge that is killed leaves it where it is, and the next one finds it by its
// socket in the server's folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "wsl-bridge/files/file_tree.h"

namespace slipway {

// Not thread-safe. Does not wait for the process: one that can't be started, or does not follow, is
// logged, and its files then end with the bridge.
class PinKeeper {
public:
    virtual ~PinKeeper() = default;

    virtual void keep(std::uint64_t node, const Handle& file) = 0;
    virtual void release(std::uint64_t node) = 0;  // Nothing if it is not kept.
    virtual void releaseAll() = 0;

    // What a bridge before this one has left. Once, before all else.
    virtual std::vector<std::pair<std::uint64_t, HandlePtr>> takeOver() = 0;
};

// `program` is run as `PROGRAM keep-files`, see pinKeeperMain(). Empty: nothing is kept.
std::unique_ptr<PinKeeper> pinKeeper(std::filesystem::path folder, std::filesystem::path program);

// Serves the listening socket that is its descriptor 3. Returns the exit code.
int pinKeeperMain();

}  // namespace slipway
