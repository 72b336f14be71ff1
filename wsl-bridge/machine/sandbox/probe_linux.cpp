#include "wsl-bridge/machine/sandbox/probe.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/machine_root.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"
#include "wsl-bridge/machine/sandbox/nat.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Fact yes(const char* name)
{
    return {name, true, "", ""};
}

Fact fromResult(const char* name, const Result<>& result, const std::string& remedy)
{
    if (result) return yes(name);
    return {name, false, result.error().message, remedy};
}

Fact rootFact()
{
    if (::geteuid() == 0) return yes("root");
    return {"root", false, fmt::format("runs as user {}", ::geteuid()),
            "the machine is rootless; sudo slipway start makes one with all features"};
}

// Made for real, in a child that ends at once. An ordinary user's has no id map then, and needs
// none.
Fact namespacesFact(bool rootless)
{
    auto flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
                 CLONE_NEWCGROUP | (rootless ? CLONE_NEWUSER : 0);
    auto tried = tryNamespaces(static_cast<std::uint64_t>(flags), [] { return Result<>{}; });
    return fromResult("namespaces", tried,
                      "run Slipway where namespaces may be made: not in a plain "
                      "container");
}

Fact cgroupsFact(bool rootless)
{
    auto hierarchies = cgroupHierarchies(mountsOfThisProcess());
    if (hierarchies.empty()) {
        return {"cgroups", false, "no cgroup hierarchy is mounted",
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup"};
    }
    if (rootless) {
        if (canUseDelegatedCgroup(hierarchies)) return yes("cgroups");
        return {"cgroups", false, "no cgroup with the memory controller is delegated to this user",
                "start Slipway by: systemd-run --user --scope -p Delegate=yes slipway start"};
    }
    for (const auto& hierarchy : hierarchies) {
        if (::access(hierarchy.point.c_str(), W_OK) == 0) continue;
        return {"cgroups", false,
                fmt::format("{}: {}", hierarchy.point.string(), std::strerror(errno)),
                "inside a container, start that container with --privileged"};
    }
    return yes("cgroups");
}

Fact overlayFact(const Home& home)
{
    auto folder = home.root;
    while (!fs::exists(folder)) folder = folder.parent_path();
    struct statfs info {};
    if (::statfs(folder.c_str(), &info) == 0 && info.f_type == OVERLAYFS_SUPER_MAGIC) {
        return {"overlay", false,
                fmt::format("{} is on an overlay, as inside a container", home.root.string()),
                "point SLIPWAY_HOME at a folder on ext4, xfs or btrfs, such as a volume"};
    }
    return yes("overlay");
}

Fact natFact(bool rootless)
{
    if (rootless)
        return {"nat", false, "only root can set up NAT", "slirp4netns does it for a user"};
    if (!isInstalled("ip")) return {"nat", false, "ip is not in PATH", "apt-get install iproute2"};
    if (!isInstalled("nft") && !isInstalled("iptables")) {
        return {"nat", false, "neither nft nor iptables is in PATH", "apt-get install nftables"};
    }
    return fromResult("nat", tryNat(),
                      "as root: modprobe -a veth nf_tables nft_chain_nat nft_masq");
}

Fact subIdsFact()
{
    auto map = userMapOfThisUser();
    if (map) return yes("subids");
    return {"subids", false, map.error().message,
            "the line above, as root; only a rootless machine "
            "needs it"};
}

Fact toolFact(const char* program, const char* package)
{
    if (isInstalled(program)) return yes(program);
    return {program, false, fmt::format("{} is not in PATH", program),
            fmt::format("apt-get install {}; only a rootless machine needs it", package)};
}

Fact slirpFact()
{
    auto fact = toolFact("slirp4netns", "slirp4netns");
    if (!fact.holds || ::access("/dev/net/tun", R_OK | W_OK) == 0) return fact;
    return {"slirp4netns", false, fmt::format("/dev/net/tun: {}", std::strerror(errno)),
            "as root: chmod 666 /dev/net/tun"};
}

// Whether root may make a node of its own and open it: tried in a file system that nobody else
// sees.
bool mayMakeFuseNode()
{
    auto scratch = newMount({"tmpfs", {}});
    if (!scratch || ::mknodat(scratch->get(), "fuse", S_IFCHR | 0600, kFuseDevice) < 0)
        return false;
    return Descriptor(::openat(scratch->get(), "fuse", O_RDWR | O_CLOEXEC)).get() >= 0;
}

}  // namespace

Fact fuseFact(bool rootless)
{
    if (readText("/proc/filesystems").find("\tfuse\n") == std::string::npos)
        return {"fuse", false, "the kernel has no FUSE", "as root: modprobe fuse"};
    Descriptor node(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (node) return yes("fuse");
    int errnoValue = errno;
    bool absent = errnoValue == ENOENT;
    if (absent && !rootless && mayMakeFuseNode()) return yes("fuse");
    bool denied = rootless && !absent;
    return {"fuse", false, fmt::format("/dev/fuse: {}", std::strerror(errnoValue)),
            denied ? "as root: chmod 666 /dev/fuse"
                   : "as root: mknod -m 666 /dev/fuse c 10 229; in a container: start it with "
                     "--device /dev/fuse"};
}

std::vector<Fact> probe(const Spec& spec)
{
    bool rootless = ::geteuid() != 0;
    return {rootFact(),         namespacesFact(rootless),        cgroupsFact(rootless),
            fuseFact(rootless), overlayFact(spec.home),          natFact(rootless),
            subIdsFact(),       toolFact("newuidmap", "uidmap"), slirpFact()};
}

}  // namespace slipway
