#include "wsl-bridge/machine/room.h"

#include <unistd.h>

#include <fmt/format.h>

namespace slipway {

Result<> checkRoom(const std::filesystem::path& folder, std::uint64_t neededBytes)
{
    constexpr std::uint64_t kMib = 1u << 20;
    std::error_code failed;
    auto space = std::filesystem::space(folder, failed);
    if (failed)
        return failErrno(fmt::format("ask for the room on {}", folder.string()), failed.value());
    // Root may use the reserve.
    std::uint64_t free = ::geteuid() == 0 ? space.free : space.available;
    if (free >= neededBytes) return {};
    return fail(
        Code::ResourceExhausted,
        fmt::format("only {:.1f} MiB are free on the disk of {}, and the machine needs {} MiB to "
                    "start; make room, then: slipway start",
                    static_cast<double>(free) / kMib, folder.string(), neededBytes / kMib));
}

}  // namespace slipway
