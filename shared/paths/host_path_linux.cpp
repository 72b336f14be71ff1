#include "shared/paths/host_path.h"

namespace slipway {

// A Linux host has one tree, and the machine has it below one folder.
std::string toMachinePath(const std::filesystem::path& canonical)
{
    std::string path = canonical.string();
    return std::string(kHostFilesInMachine) + (path == "/" ? "" : path);
}

std::optional<std::string> toHostPath(std::string_view machinePath)
{
    if (!machinePath.starts_with(kHostFilesInMachine)) return std::nullopt;
    std::string_view path = machinePath.substr(kHostFilesInMachine.size());
    if (path.empty()) return "/";
    if (path.front() != '/') return std::nullopt;
    return std::string(path);
}

}  // namespace slipway
