#include "wsl-bridge/machine/sandbox/loop_device.h"

#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"

namespace slipway {
namespace {

constexpr auto kFormatTimeout = std::chrono::seconds(60);
constexpr int kTries = 20;  // Somebody else may take the free device between the two calls.

}  // namespace

Result<LoopDevice> attachLoop(const std::filesystem::path& file)
{
    Descriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control) return failErrno("open /dev/loop-control", errno);
    Descriptor backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    if (!backing) return failErrno(fmt::format("open {}", file.string()), errno);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(backing.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), file.c_str(), LO_NAME_SIZE - 1);
    for (int i = 0; i < kTries; ++i) {
        int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) return failErrno("find a free loop device", errno);
        LoopDevice device{fmt::format("/dev/loop{}", number), {}};
        device.open = Descriptor(::open(device.path.c_str(), O_RDWR | O_CLOEXEC));
        if (!device.open) return failErrno(fmt::format("open {}", device.path), errno);
        if (::ioctl(device.open.get(), LOOP_CONFIGURE, &config) == 0) return device;
        if (errno != EBUSY) {
            return failErrno(fmt::format("show {} as {}", file.string(), device.path), errno);
        }
    }
    return fail(Code::Unavailable, "no loop device stays free long enough");
}

Result<> makeExt4Image(const std::filesystem::path& file, std::uint64_t bytes)
{
    auto partial = file;
    partial += ".partial";
    Descriptor made(::open(partial.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!made || ::ftruncate(made.get(), static_cast<off_t>(bytes)) < 0) {
        return failErrno(fmt::format("make {}", partial.string()), errno);
    }
    Command format;
    format.program = "mke2fs";
    format.args = {"-q", "-F", "-t", "ext4", "-m", "0", partial.string()};
    auto formatted = outputOf(format, kFormatTimeout);
    if (!formatted) return tl::unexpected<Error>(std::move(formatted).error());
    if (::rename(partial.c_str(), file.c_str()) < 0) {
        return failErrno(fmt::format("name {}", file.string()), errno);
    }
    return {};
}

std::vector<std::string> detachLoops(const std::filesystem::path& file)
{
    std::vector<std::string> freed;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/block", ignored)) {
        auto shown = readText(entry.path() / "loop/backing_file");
        if (shown != file.string() + "\n") continue;
        auto path = "/dev/" + entry.path().filename().string();
        Descriptor device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        if (device && ::ioctl(device.get(), LOOP_CLR_FD) == 0)
            freed.push_back("loop device " + path);
    }
    return freed;
}

}  // namespace slipway
