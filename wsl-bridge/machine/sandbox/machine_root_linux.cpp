// Theory of operation. The order matters in three places. The host's tree is cloned before anything
// of the machine is mounted, so the copy under /mnt/host can't hold the machine itself. It is
// cloned from a slave of the host's tree, so what the host mounts later appears there too (where
// the host's own mounts are shared, as systemd makes them) and nothing mounted here ever reaches
// the host. And the whole root is made shared last, as dockerd's rshared binds need it.
//
// The host's own proc, sys, dev and cgroups are taken out of that copy. They are not files to
// share, and runc takes the first cgroup mount it finds for its own: with the host's in sight,
// containers ended up in groups beside the machine's instead of in them.
//
// As an ordinary user there is a user namespace: device nodes can't be made, so the host's are
// bound, and the overlay keeps its marks in user.* attributes.
#include "wsl-bridge/machine/sandbox/machine_root.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "wsl-bridge/machine/sandbox/loop_device.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHostShare = "mnt/host";
constexpr const char* kFuseNode = "fuse";

const std::vector<std::string> kNodes = {"null",    "zero", "full", "random",
                                         "urandom", "tty",  "fuse", "net/tun"};
const std::vector<std::string> kNodesOfRoot = {"kmsg",  "btrfs-control", "loop-control", "loop0",
                                               "loop1", "loop2",         "loop3",        "loop4",
                                               "loop5", "loop6",         "loop7"};

Result<> mountStorage(const Spec& spec)
{
    if (spec.storage == Storage::Plain) return {};
    if (spec.storage == Storage::Memory) {
        TRY_VOID(mountNew({"tmpfs", {{"mode", "755"}}}, spec.volume()));
    } else {
        TRY(auto device, attachLoop(spec.image()));
        TRY_VOID(mountNew({"ext4", {{"source", device.path}}}, spec.volume()));
    }
    for (const char* folder : {"upper", "work", "data", "containerd"}) {
        TRY_VOID(makeFolders(spec.written(folder)));
    }
    return {};
}

// Colons part the lower folders, backslashes escape; overlayfs.rst.
std::string escaped(const fs::path& folder)
{
    std::string text;
    for (char c : folder.string()) {
        if (c == ':' || c == '\\') text += '\\';
        text += c;
    }
    return text;
}

Result<> mountOverlay(const Spec& spec)
{
    FileSystem overlay{"overlay",
                       {{"source", "slipway"},
                        {"lowerdir", escaped(spec.root)},
                        {"upperdir", spec.written("upper").string()},
                        {"workdir", spec.written("work").string()}}};
    if (spec.rootless) overlay.options.push_back({"userxattr", ""});
    return mountNew(overlay, spec.mountPoint());
}

Result<> makeNode(const fs::path& node, const struct stat& like)
{
    TRY_VOID(makeFolders(node.parent_path()));
    if (::mknod(node.c_str(), like.st_mode, like.st_rdev) < 0) {
        return failErrno(fmt::format("make device {}", node.string()), errno);
    }
    return {};
}

// A node that the host has. In a container the host's /dev may lack fuse and tun though the kernel
// has them; root makes them here where the container's device rules let it, and else goes without:
// files = fuse has been refused before, and slirp4netns opens its own.
Result<> addNode(const Spec& spec, const fs::path& dev, const std::string& name)
{
    struct stat info {};
    fs::path host = fs::path("/dev") / name;
    bool there = ::stat(host.c_str(), &info) == 0;
    if (spec.rootless) {
        if (!there) return {};
        TRY_VOID(makeEmptyFile(dev / name));
        return bindTree(host, dev / name);
    }
    if (there) return makeNode(dev / name, info);
    info.st_mode = S_IFCHR | 0666;
    if (name == kFuseNode)
        info.st_rdev = kFuseDevice;
    else if (name == "net/tun")
        info.st_rdev = kTunDevice;
    else
        return {};
    (void)makeNode(dev / name, info);
    return {};
}

Result<> linkTo(const fs::path& target, const fs::path& link)
{
    std::error_code failed;
    fs::create_symlink(target, link, failed);
    if (failed) return failErrno(fmt::format("link {}", link.string()), failed.value());
    return {};
}

Result<> mountDev(const Spec& spec)
{
    auto dev = spec.mountPoint() / "dev";
    TRY_VOID(mountNew({"tmpfs", {{"mode", "755"}}, true}, dev));
    for (const auto& name : kNodes) TRY_VOID(addNode(spec, dev, name));
    if (!spec.rootless) {
        for (const auto& name : kNodesOfRoot) TRY_VOID(addNode(spec, dev, name));
    }
    for (const char* folder : {"pts", "shm", "mqueue"}) TRY_VOID(makeFolders(dev / folder));
    TRY_VOID(mountNew({"devpts", {{"newinstance", ""}, {"ptmxmode", "0666"}, {"mode", "620"}}},
                      dev / "pts"));
    TRY_VOID(mountNew({"tmpfs", {{"mode", "1777"}}, true}, dev / "shm"));
    TRY_VOID(mountNew({"mqueue", {}}, dev / "mqueue"));
    TRY_VOID(linkTo("pts/ptmx", dev / "ptmx"));
    TRY_VOID(linkTo("/proc/self/fd", dev / "fd"));
    TRY_VOID(linkTo("/proc/self/fd/0", dev / "stdin"));
    TRY_VOID(linkTo("/proc/self/fd/1", dev / "stdout"));
    return linkTo("/proc/self/fd/2", dev / "stderr");
}

FileSystem fileSystemOf(const Hierarchy& hierarchy)
{
    FileSystem fileSystem{hierarchy.version == 2 ? "cgroup2" : "cgroup", {}};
    for (std::size_t begin = 0; begin < hierarchy.controllers.size();) {
        auto end = std::min(hierarchy.controllers.find(',', begin), hierarchy.controllers.size());
        auto option = hierarchy.controllers.substr(begin, end - begin);
        auto equals = option.find('=');
        if (equals == std::string::npos)
            fileSystem.options.push_back({option, ""});
        else
            fileSystem.options.push_back({option.substr(0, equals), option.substr(equals + 1)});
        begin = end + 1;
    }
    return fileSystem;
}

struct CgroupMount {
    Descriptor mount;
    fs::path point;  // As the host has it: below /sys/fs/cgroup.
};

// Each as the host has it, seen from the machine's own group. What an ordinary user may not mount
// is left out; dockerd then runs without limits. Made before the host's tree is copied: mountinfo
// lists the older mount first, and runc takes the first.
Result<std::vector<CgroupMount>> newCgroups(const Spec& spec,
                                            const std::vector<Hierarchy>& hierarchies)
{
    std::vector<CgroupMount> mounts;
    for (const auto& hierarchy : hierarchies) {
        auto mount = newMount(fileSystemOf(hierarchy));
        if (!mount && spec.rootless) continue;
        if (!mount) return tl::unexpected<Error>(std::move(mount).error());
        mounts.push_back({*std::move(mount), hierarchy.point});
    }
    return mounts;
}

Result<> attachCgroups(const Spec& spec, const std::vector<CgroupMount>& mounts)
{
    auto base = spec.mountPoint() / "sys/fs/cgroup";
    bool single = mounts.size() == 1 && mounts.front().point == "/sys/fs/cgroup";
    if (!single) {
        auto based = mountNew({"tmpfs", {{"mode", "755"}}}, base);
        if (!based) return spec.rootless ? Result<>{} : based;
    }
    for (const auto& mount : mounts) {
        auto target = single ? base : base / mount.point.filename();
        TRY_VOID(makeFolders(target));
        TRY_VOID(attachTree(mount.mount, target));
    }
    return {};
}

Result<> bindFolders(const Spec& spec)
{
    auto root = spec.mountPoint();
    struct Bind {
        fs::path source;
        const char* target;
        bool readOnly;
    };
    const Bind binds[] = {
        {spec.written("data"), "var/lib/docker", false},
        {spec.written("containerd"), "var/lib/containerd", false},
        {spec.home.logDir(), "var/log/slipway", false},
        {spec.home.tunnelDir(), "run/slipway/tunnel", false},
        {spec.bin, "usr/lib/slipway", true},
    };
    for (const auto& bind : binds) {
        TRY_VOID(makeFolders(root / bind.target));
        TRY_VOID(bindTree(bind.source, root / bind.target, bind.readOnly));
    }
    return {};
}

bool isKernelTree(const std::string& type)
{
    return type == "proc" || type == "sysfs" || type == "devtmpfs" || type == "cgroup" ||
           type == "cgroup2";
}

Result<> hideKernelTrees(const fs::path& share)
{
    auto below = share.string() + "/";
    for (const auto& mount : mountsOfThisProcess()) {
        if (!mount.point.string().starts_with(below) || !isKernelTree(mount.type)) continue;
        std::error_code ignored;
        if (::umount2(mount.point.c_str(), MNT_DETACH) == 0) continue;
        if (!fs::is_directory(mount.point, ignored)) continue;  // Went with the one above it.
        // In a user namespace what was mounted outside is locked in place, but it can be covered.
        TRY_VOID(mountNew({"tmpfs", {{"size", "4k"}, {"mode", "555"}}}, mount.point));
    }
    return {};
}

// A root file system may ship resolv.conf as a link into /run; a file takes its place.
Result<> replaceText(const fs::path& file, const std::string& text)
{
    std::error_code ignored;
    fs::remove(file, ignored);
    return writeText(file, text);
}

}  // namespace

Result<> buildRoot(const Spec& spec, const std::vector<Hierarchy>& hierarchies)
{
    auto root = spec.mountPoint();
    TRY_VOID(setPropagation("/", MS_SLAVE));
    TRY(auto cgroups, newCgroups(spec, hierarchies));
    Descriptor hostTree;
    if (!spec.fuse) {
        TRY(hostTree, cloneTree("/"));
    }
    TRY_VOID(mountStorage(spec));
    TRY_VOID(mountOverlay(spec));
    for (const char* folder : {"proc", "sys", "dev", "run", "tmp", kHostShare}) {
        TRY_VOID(makeFolders(root / folder));
    }
    TRY_VOID(mountNew({"proc", {}}, root / "proc"));
    TRY_VOID(mountNew({"sysfs", {}}, root / "sys"));
    TRY_VOID(mountDev(spec));
    TRY_VOID(mountNew({"tmpfs", {{"mode", "755"}}}, root / "run"));
    TRY_VOID(mountNew({"tmpfs", {{"mode", "1777"}}}, root / "tmp"));
    TRY_VOID(attachCgroups(spec, cgroups));
    TRY_VOID(bindFolders(spec));
    if (spec.fuse) return {};
    TRY_VOID(attachTree(hostTree, root / kHostShare));
    return hideKernelTrees(root / kHostShare);
}

Result<> writeEtc(const Spec& spec, const std::string& resolvConf)
{
    auto etc = spec.mountPoint() / "etc";
    TRY_VOID(makeFolders(etc));
    TRY_VOID(replaceText(etc / "resolv.conf", resolvConf));
    TRY_VOID(replaceText(etc / "hostname", spec.name + "\n"));
    return replaceText(etc / "hosts",
                       fmt::format("127.0.0.1 localhost {}\n::1 localhost\n", spec.name));
}

Result<> enterRoot(const Spec& spec)
{
    if (::chdir(spec.mountPoint().c_str()) < 0) return failErrno("enter the machine's root", errno);
    // The old root comes to lie on top of the new one, and is taken off; pivot_root(2), "." and
    // ".".
    if (::syscall(SYS_pivot_root, ".", ".") < 0) return failErrno("pivot_root", errno);
    if (::umount2(".", MNT_DETACH) < 0) return failErrno("detach the host's root", errno);
    if (::chdir("/") < 0) return failErrno("enter /", errno);
    return setPropagation("/", MS_SHARED);
}

}  // namespace slipway
