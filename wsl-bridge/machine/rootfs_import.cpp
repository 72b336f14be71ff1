#include "wsl-bridge/machine/rootfs_import.h"

#include <fstream>

#include <fmt/format.h>

#include "shared/core/small_file.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

fs::path stampFile(const fs::path& machineDir)
{
    return machineDir / "root.stamp";
}

}  // namespace

Result<std::string> stampOf(const fs::path& rootfs)
{
    std::error_code failed;
    auto changed = fs::last_write_time(rootfs, failed);
    if (failed) {
        return fail(
            Code::NotFound,
            fmt::format("root file system {}: {}; make it with packaging/quickstart, or name "
                        "one in settings.json as rootfs",
                        rootfs.string(), failed.message()));
    }
    auto size = fs::is_directory(rootfs) ? 0 : fs::file_size(rootfs, failed);
    return fmt::format("{}\n{}\n{}\n", rootfs.string(), size, changed.time_since_epoch().count());
}

bool isImported(const fs::path& machineDir, const std::string& stamp)
{
    return readFile(stampFile(machineDir)) == stamp;
}

Result<> noteImported(const fs::path& machineDir, const std::string& stamp)
{
    std::ofstream out(stampFile(machineDir));
    out << stamp;
    out.close();
    if (out) return {};
    return fail(Code::Unavailable, fmt::format("write {}", stampFile(machineDir).string()));
}

void forgetImported(const fs::path& machineDir)
{
    std::error_code ignored;
    fs::remove(stampFile(machineDir), ignored);
}

}  // namespace slipway
