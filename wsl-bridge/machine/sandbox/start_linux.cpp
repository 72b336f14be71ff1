#include "wsl-bridge/machine/sandbox/start.h"

#include <cerrno>
#include <climits>
#include <csignal>

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/net/uplink.h"
#include "shared/process/child.h"
#include "shared/process/process_facts.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/loop_device.h"
#include "wsl-bridge/machine/sandbox/machine_root.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"
#include "wsl-bridge/machine/sandbox/network.h"
#include "wsl-bridge/machine/sandbox/probe.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr auto kModprobeTimeout = std::chrono::seconds(20);
constexpr std::uint64_t kMaxImageBytes = 64ull << 30;
constexpr const char* kNetworkReady = "network ready";
constexpr const char* kWithEth0 = "eth0";
constexpr const char* kWithoutEth0 = "none";

// The machine's root has no /lib/modules, so the host loads what it may need.
void loadModules()
{
    utsname kernel{};
    ::uname(&kernel);
    if (!fs::exists(fs::path("/lib/modules") / kernel.release)) return;
    Command modprobe;
    modprobe.program = "modprobe";
    modprobe.args = {"-a",
                     "-q",
                     "overlay",
                     "fuse",
                     "tun",
                     "nft_tproxy",
                     "veth",
                     "bridge",
                     "br_netfilter",
                     "loop",
                     "nf_nat",
                     "nft_chain_nat",
                     "nft_masq",
                     "nft_compat",
                     "xt_MASQUERADE",
                     "xt_conntrack",
                     "xt_addrtype",
                     "xt_comment",
                     "xt_nat",
                     "xt_mark",
                     "iptable_nat",
                     "iptable_filter",
                     "ip6table_nat",
                     "ip6table_filter",
                     "ip_vs",
                     "ip_vs_rr",
                     "vxlan"};
    if (auto loaded = outputOf(modprobe, kModprobeTimeout); !loaded) {
        log::debug("sandbox: {}", loaded.error().message);
    }
}

Result<> checkFuse(const Spec& spec)
{
    if (!spec.fuse) return {};
    auto fact = fuseFact(spec.rootless);
    if (fact.holds) return {};
    return fail(
        Code::FailedPrecondition,
        fmt::format("files = fuse can't work here: {}; {}, or set \"files\": \"direct\" in {}",
                    fact.reason, fact.remedy, spec.home.settingsFile().string()));
}

Result<> checkRoot(const Spec& spec)
{
    struct stat info {};
    if (::stat((spec.root / "usr").c_str(), &info) < 0) {
        return failErrno(fmt::format("root file system {}", spec.root.string()), errno);
    }
    bool mine = info.st_uid == ::geteuid() && info.st_gid == ::getegid();
    if (spec.rootless && !mine) {
        return fail(
            Code::FailedPrecondition,
            fmt::format("root file system {} belongs to user {}:{}, which a rootless machine can't "
                        "use; let rootfs name the tar.zst instead of the folder",
                        spec.root.string(), info.st_uid, info.st_gid));
    }
    return {};
}

bool isOverlay(const fs::path& folder)
{
    struct statfs info {};
    return ::statfs(folder.c_str(), &info) == 0 && info.f_type == OVERLAYFS_SUPER_MAGIC;
}

Result<> makeImage(const Spec& spec)
{
    if (fs::exists(spec.image())) return {};
    struct statvfs info {};
    if (::statvfs(spec.home.machineDir().c_str(), &info) < 0)
        return failErrno("ask for room", errno);
    auto bytes = std::min<std::uint64_t>(kMaxImageBytes, info.f_bavail * info.f_frsize);
    return makeExt4Image(spec.image(), bytes);
}

// An overlay can't have its upper folder on another overlay, as the home has inside a container.
Result<Storage> prepareStorage(const Spec& spec, Notes& notes)
{
    for (const char* folder : {"upper", "work", "data", "containerd"}) {
        TRY_VOID(makeFolders(spec.home.machineDir() / folder));
    }
    for (const auto& folder : {spec.mountPoint(), spec.home.logDir(), spec.home.tunnelDir()}) {
        TRY_VOID(makeFolders(folder));
    }
    if (!isOverlay(spec.home.machineDir())) return Storage::Plain;
    TRY_VOID(makeFolders(spec.volume()));
    auto home = spec.home.root.string();
    std::string remedy = "point SLIPWAY_HOME at a folder on ext4, xfs or btrfs";
    Result<> made = spec.rootless ? fail(Code::PermissionDenied, "a user has no loop devices")
                                  : makeImage(spec);
    if (made) {
        // Shown that it works here, before the namespaces are made.
        if (auto device = attachLoop(spec.image()); !device) made = tl::unexpected(device.error());
    }
    if (made) {
        notes.push_back({fmt::format("{} is on an overlay, so images and containers are kept in {}",
                                     home, spec.image().string()),
                         remedy});
        return Storage::Image;
    }
    notes.push_back(
        {fmt::format("{} is on an overlay and a disk image does not work here ({}), so images "
                     "and containers are kept in memory and are gone after a stop",
                     home, made.error().message),
         remedy});
    return Storage::Memory;
}

// In the machine: the last steps before its PID 1 is slipway-init.
Result<> redirectOutput(const Spec& spec)
{
    auto log = spec.home.logDir() / "agent.log";
    Descriptor out(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (!out) return failErrno(fmt::format("open {}", log.string()), errno);
    TRY_VOID(giveToFolderOwner(log));
    if (::dup2(out.get(), STDOUT_FILENO) < 0 || ::dup2(out.get(), STDERR_FILENO) < 0) {
        return failErrno("redirect output", errno);
    }
    return {};
}

Result<> becomeInit(const Spec& spec, int held)
{
    constexpr int kHeldFd = 3;
    if (::dup2(held, kHeldFd) < 0) return failErrno("keep the pipe of slirp4netns", errno);
    if (held == kHeldFd) ::fcntl(held, F_SETFD, 0);
    if (::syscall(SYS_close_range, kHeldFd + 1u, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0) {
        return failErrno("close what the machine is not to have", errno);
    }
    const char* init = "/usr/lib/slipway/slipway-init";
    auto heldFd = std::to_string(kHeldFd);
    auto network = spec.subnet.text();
    const char* words[] = {init,
                           "--files",
                           spec.fuse ? "fuse" : "direct",
                           "--hostname",
                           spec.name.c_str(),
                           "--network",
                           network.c_str(),
                           "--hold-fd",
                           heldFd.c_str(),
                           nullptr};
    const char* level = std::getenv("SLIPWAY_LOG");
    auto logLevel = fmt::format("SLIPWAY_LOG={}", level ? level : "info");
    const char* environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                                 logLevel.c_str(), nullptr};
    ::execve(init, const_cast<char**>(words), const_cast<char**>(environment));
    return failErrno(fmt::format("run {} ({})", init, (spec.bin / "slipway-init").string()), errno);
}

// The body of the machine's PID 1, from its clone to its exec.
Result<> becomeMachine(const Spec& spec, const std::vector<Hierarchy>& hierarchies,
                       const Line& line, int held)
{
    if (::setsid() < 0) return failErrno("new session", errno);
    ::umask(022);
    TRY_VOID(redirectOutput(spec));
    auto hostResolvConf = readText("/etc/resolv.conf");
    TRY_VOID(buildRoot(spec, hierarchies));
    TRY_VOID(line.send(kNetworkReady));
    TRY(auto network, line.receive());
    if (network.empty()) return fail(Code::Cancelled, "slipway-sandbox is gone");
    if (network == kWithEth0) TRY_VOID(configureEth0(spec.subnet));
    TRY_VOID(writeEtc(spec, machineResolvConf(hostResolvConf, uplinkOf(spec.subnet).host)));
    TRY_VOID(enterRoot(spec));
    return becomeInit(spec, held);
}

std::string recordOf(const Spec& spec, pid_t pid, const MachineCgroups& cgroups,
                     const Network& network, const Notes& notes)
{
    json::array noted;
    for (const auto& note : notes) noted.push_back({{"text", note.text}, {"remedy", note.remedy}});
    return json::serialize(
        json::object{{"pid", pid},
                     {"start_time", startTimeOf(pid).value_or(0)},
                     {"slirp", network.slirp},
                     {"slirp_start_time", startTimeOf(network.slirp).value_or(0)},
                     {"rootless", spec.rootless},
                     {"cgroup", spec.names.cgroup},
                     {"cgroup_version", cgroups.version},
                     {"cgroups_writable", cgroups.writable},
                     {"subnet", spec.subnet.text()},
                     {"network", std::string(name(network.mode))},
                     {"files", spec.fuse ? "fuse" : "direct"},
                     {"notes", std::move(noted)}});
}

Result<> writeRecord(const fs::path& file, const std::string& record)
{
    auto partial = file;
    partial += ".partial";
    ::unlink(partial.c_str());
    Descriptor made(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!made ||
        ::write(made.get(), record.data(), record.size()) != static_cast<ssize_t>(record.size()) ||
        ::rename(partial.c_str(), file.c_str()) < 0) {
        return failErrno(fmt::format("write {}", file.string()), errno);
    }
    return giveToFolderOwner(file);
}

// A machine whose set-up failed says why on the line; its silence is the success of its exec.
Result<> expectSilence(const Line& line)
{
    TRY(auto lastWords, line.receive());
    if (lastWords.empty()) return {};
    return tl::unexpected<Error>(errorFrom(lastWords));
}

Result<std::string> superviseSetUp(const Spec& spec, const NewProcess& machine,
                                   const MachineCgroups& cgroups, HoldPipe hold, Notes& notes)
{
    TRY_VOID(joinLeaves(cgroups));
    auto network = connectMachine(spec, machine.pid, hold, notes);
    hold = {};  // The machine alone holds it from here on.
    TRY(auto word, machine.line.receive());
    if (word != kNetworkReady) return tl::unexpected<Error>(errorFrom(word));
    auto record = recordOf(spec, machine.pid, cgroups, network, notes);
    TRY_VOID(writeRecord(spec.home.machineFile(), record));
    bool eth0 = network.mode == Network::Mode::Nat;
    TRY_VOID(machine.line.send(eth0 ? kWithEth0 : kWithoutEth0));
    TRY_VOID(expectSilence(machine.line));
    return record;
}

}  // namespace

Result<std::string> startSandbox(Spec spec)
{
    Notes notes;
    spec.rootless = ::geteuid() != 0;
    TRY_VOID(checkRoot(spec));
    std::optional<UserMap> map;
    if (spec.rootless) {
        TRY(map, userMapOfThisUser());
    } else {
        loadModules();
    }
    TRY_VOID(checkFuse(spec));
    TRY(spec.storage, prepareStorage(spec, notes));
    auto hierarchies = cgroupHierarchies(mountsOfThisProcess());
    TRY(auto cgroups, makeCgroups(spec, notes));
    TRY_VOID(joinCgroups(cgroups));
    TRY(auto hold, makeHoldPipe());
    TRY(auto machine, cloneInto(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS |
                                    CLONE_NEWIPC | CLONE_NEWCGROUP,
                                map, [&](const Line& line) {
                                    return becomeMachine(spec, hierarchies, line, hold.held.get());
                                }));
    auto record = superviseSetUp(spec, machine, cgroups, std::move(hold), notes);
    if (!record) {
        ::syscall(SYS_pidfd_send_signal, machine.pidfd.get(), SIGKILL, nullptr, 0);
        (void)writeRecord(spec.home.machineFile(), recordOf(spec, machine.pid, cgroups, {}, notes));
    }
    return record;
}

}  // namespace slipway
