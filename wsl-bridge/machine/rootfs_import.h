// Whether the unpacked root file system still is what the archive holds.
#pragma once

#include <filesystem>
#include <string>

#include "shared/core/error.h"

namespace slipway {

// Names one version of an archive or folder: path, size, time of change. The error names the way
// out.
Result<std::string> stampOf(const std::filesystem::path& rootfs);

// What was imported last lies beside the machine's files.
bool isImported(const std::filesystem::path& machineDir, const std::string& stamp);
Result<> noteImported(const std::filesystem::path& machineDir, const std::string& stamp);
void forgetImported(const std::filesystem::path& machineDir);

}  // namespace slipway
