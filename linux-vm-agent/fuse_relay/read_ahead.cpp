#include "linux-vm-agent/fuse_relay/read_ahead.h"

#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

// "0:57", from /proc/self/mountinfo (proc(5)): id, parent, device, root, mount point.
std::string deviceOf(const std::filesystem::path& mountPoint)
{
    std::ifstream mounts("/proc/self/mountinfo");
    std::string device;
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream fields(line);
        std::string id, parent, number, root, point;
        fields >> id >> parent >> number >> root >> point;
        if (point == mountPoint.string()) device = number;  // The last one lies on top.
    }
    return device;
}

}  // namespace

void setReadAhead(const std::filesystem::path& mountPoint, std::size_t bytes)
{
    auto path = fmt::format("/sys/class/bdi/{}/read_ahead_kb", deviceOf(mountPoint));
    std::ofstream file(path);
    file << bytes / 1024 << std::flush;
    if (!file)
        log::info("files: {} can't be written; large reads of shared files are slower", path);
}

}  // namespace slipway
