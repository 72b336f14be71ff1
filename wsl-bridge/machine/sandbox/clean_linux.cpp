#include <cerrno>
#include <csignal>

#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "shared/json/json.h"
#include "shared/process/process_facts.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/loop_device.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"
#include "wsl-bridge/machine/sandbox/network.h"
#include "wsl-bridge/machine/sandbox/start.h"

namespace slipway {
namespace {

constexpr int kDeadWithinMs = 10000;

struct Killed {
    pid_t pid;
    Descriptor pidfd;
};

std::optional<Killed> kill(const boost::json::object& record, const char* pidKey,
                           const char* startKey)
{
    const auto* pid = record.if_contains(pidKey);
    const auto* start = record.if_contains(startKey);
    if (!pid || !start) return std::nullopt;
    auto number = pid->to_number<pid_t>();
    // Opened before it is asked who it is: the pid can't come to mean another process in between.
    Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, number, 0)));
    if (!pidfd || startTimeOf(number) != start->to_number<std::uint64_t>()) return std::nullopt;
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    return Killed{number, std::move(pidfd)};
}

// Its PID 1 takes every process of the machine with it, but is gone only after frozen ones were
// thawed. slirp4netns, outside, would end by itself a moment after it.
std::vector<Killed> killRecorded(const std::filesystem::path& file)
{
    std::vector<Killed> killed;
    auto record = parseJson(readText(file), file.string());
    if (!record || !record->is_object()) return killed;
    if (auto init = kill(record->get_object(), "pid", "start_time"))
        killed.push_back(*std::move(init));
    if (auto slirp = kill(record->get_object(), "slirp", "slirp_start_time"))
        killed.push_back(*std::move(slirp));
    return killed;
}

}  // namespace

std::vector<std::string> cleanSandbox(const Spec& spec)
{
    std::vector<std::string> removed;
    auto add = [&removed](std::vector<std::string> more) {
        removed.insert(removed.end(), more.begin(), more.end());
    };
    auto killed = killRecorded(spec.home.machineFile());
    add(removeCgroups(spec.names.cgroup));
    for (const auto& [pid, pidfd] : killed) {
        pollfd watched{pidfd.get(), POLLIN, 0};
        ::poll(&watched, 1, kDeadWithinMs);
        removed.push_back(fmt::format("process {}", pid));
    }
    add(removeNetwork(spec));
    for (const auto& mount : mountsOfThisProcess()) {
        bool ours = mount.point == spec.mountPoint() || mount.point == spec.volume();
        if (ours && ::umount2(mount.point.c_str(), MNT_DETACH) == 0) {
            removed.push_back("mount " + mount.point.string());
        }
    }
    if (!spec.rootless) add(detachLoops(spec.image()));
    std::error_code ignored;
    if (std::filesystem::remove(spec.home.machineFile(), ignored)) {
        removed.push_back(spec.home.machineFile().string());
    }
    return removed;
}

}  // namespace slipway
