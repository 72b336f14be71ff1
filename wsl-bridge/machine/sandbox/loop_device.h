// Loop devices: a file as a disk.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"

namespace slipway {

// The device frees itself when its last mount or descriptor is gone, so a killed machine leaves
// none.
struct LoopDevice {
    std::string path;
    Descriptor open;
};
Result<LoopDevice> attachLoop(const std::filesystem::path& file);

// A sparse file of that size with an ext4 file system in it.
Result<> makeExt4Image(const std::filesystem::path& file, std::uint64_t bytes);

// Frees the devices that show a file; returns them.
std::vector<std::string> detachLoops(const std::filesystem::path& file);

}  // namespace slipway
