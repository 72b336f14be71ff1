#include "wsl-bridge/machine/sandbox/cgroups.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iterator>
#include <set>
#include <sstream>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr auto kEmptyWithin = std::chrono::seconds(5);
constexpr const char* kMachineLeaf = "init";       // As slipway-init has it.
constexpr const char* kHostLeaf = "slipway-host";  // What else runs in a delegated group.

Result<> copyValue(const fs::path& from, const fs::path& to)
{
    auto value = readText(from);
    if (value.empty() || value == "\n") return {};
    return writeText(to, value);
}

// Version 1's cpuset gives a new group no processors and no memory, and refuses processes until it
// has.
Result<> fillCpuset(const fs::path& group)
{
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
        if (!fs::exists(group / file)) continue;
        TRY_VOID(copyValue(group.parent_path() / file, group / file));
    }
    return {};
}

std::vector<std::string> pidsIn(const fs::path& group)
{
    std::istringstream numbers(readText(group / "cgroup.procs"));
    return {std::istream_iterator<std::string>(numbers), {}};
}

// Controllers reach a group of version 2 only as far as its parent hands them down. Below the root
// of all, a group that holds processes can't hand down all of them, and those it can would make it
// a threaded one, whose children refuse processes (cgroups(7), "Thread mode").
void handDownControllers(const fs::path& parent)
{
    bool isRoot = !fs::exists(parent / "cgroup.type");
    if (!isRoot && !pidsIn(parent).empty()) return;
    std::istringstream controllers(readText(parent / "cgroup.controllers"));
    for (std::string name; controllers >> name;) {
        (void)writeText(parent / "cgroup.subtree_control", "+" + name);
    }
}

bool isWord(const std::string& list, const std::string& word)
{
    std::istringstream words(list);
    for (std::string each; words >> each;) {
        if (each == word) return true;
    }
    return false;
}

// Where this process stands in the hierarchy of version 2, seen from its mount; or stood, before an
// earlier start moved it aside.
fs::path ownGroup(const Hierarchy& hierarchy)
{
    std::istringstream lines(readText("/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("0::/")) continue;
        auto group = hierarchy.point / line.substr(4);
        return group.filename() == kHostLeaf ? group.parent_path() : group;
    }
    return hierarchy.point;
}

// Whether all that runs there was started from the folder of our own programs.
bool holdsOnlyOurs(const fs::path& group)
{
    auto folderOf = [](const std::string& pid) {
        std::error_code ignored;
        return fs::read_symlink("/proc/" + pid + "/exe", ignored).parent_path();
    };
    auto pids = pidsIn(group);
    return std::all_of(pids.begin(), pids.end(),
                       [&](const auto& pid) { return folderOf(pid) == folderOf("self"); });
}

Result<> makeGroup(const fs::path& folder, int version)
{
    if (version == 2) handDownControllers(folder.parent_path());
    if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST) {
        int errnoValue = errno;
        auto error = failErrno(fmt::format("make cgroup {}", folder.string()), errnoValue).value();
        if (errnoValue == EROFS || errnoValue == EACCES || errnoValue == EPERM) {
            error.message +=
                "; cgroups must be writable: inside a container, start that container with "
                "--privileged, or with a writable /sys/fs/cgroup of its own";
        }
        return tl::unexpected<Error>(std::move(error));
    }
    if (version == 1) TRY_VOID(fillCpuset(folder));
    return {};
}

// So that it can hand down controllers: where a user's group holds the bridge and its like alone,
// as a scope of theirs does, they move to a leaf of it. Nothing else of the user's is ever moved.
void moveAside(const fs::path& group)
{
    if (!holdsOnlyOurs(group) || !makeGroup(group / kHostLeaf, 2)) return;
    for (const auto& pid : pidsIn(group)) (void)writeText(group / kHostLeaf / "cgroup.procs", pid);
}

MachineCgroups makeDelegated(const std::vector<Hierarchy>& hierarchies, const Spec& spec,
                             Notes& notes)
{
    MachineCgroups cgroups;
    for (const auto& hierarchy : hierarchies) {
        if (hierarchy.version != 2) continue;
        auto parent = ownGroup(hierarchy);
        auto folder = parent / spec.names.cgroup;
        if (::access((parent / "cgroup.procs").c_str(), W_OK) < 0) continue;
        moveAside(parent);
        if (!makeGroup(folder, 2)) continue;
        cgroups.folders.push_back(folder);
        cgroups.version = 2;
        cgroups.writable = isWord(readText(folder / "cgroup.controllers"), "memory");
    }
    if (!cgroups.writable) {
        notes.push_back(
            {"no cgroup was delegated to this user, so limits of memory and CPU and docker "
             "pause do not work",
             "start Slipway by: systemd-run --user --scope -p Delegate=yes slipway start"});
    }
    return cgroups;
}

std::vector<pid_t> processesBelow(const fs::path& group)
{
    std::vector<pid_t> pids;
    std::error_code ignored;
    auto read = [&pids](const fs::path& folder) {
        std::istringstream numbers(readText(folder / "cgroup.procs"));
        for (pid_t pid; numbers >> pid;) pids.push_back(pid);
    };
    read(group);
    // Groups may vanish meanwhile, and a range-for would throw then.
    for (fs::recursive_directory_iterator at(group, ignored), end; !ignored && at != end;
         at.increment(ignored)) {
        if (at->is_directory(ignored)) read(at->path());
    }
    return pids;
}

void thawBelow(const fs::path& group)
{
    std::error_code ignored;
    (void)writeText(group / "freezer.state", "THAWED");
    for (fs::recursive_directory_iterator at(group, ignored), end; !ignored && at != end;
         at.increment(ignored)) {
        if (at->path().filename() == "freezer.state") (void)writeText(at->path(), "THAWED");
    }
}

// All groups at once: a frozen process dies only once its group in the freezer's hierarchy is
// thawed.
void killAll(const std::vector<fs::path>& groups)
{
    auto end = std::chrono::steady_clock::now() + kEmptyWithin;
    bool any = true;
    while (any && std::chrono::steady_clock::now() < end) {
        any = false;
        for (const auto& group : groups) {
            for (pid_t pid : processesBelow(group)) {
                if (pid == ::getpid()) continue;
                any = true;
                ::kill(pid, SIGKILL);
            }
            if (fs::exists(group / "freezer.state")) thawBelow(group);
        }
        if (any) ::poll(nullptr, 0, 5);
    }
}

bool removeGroup(const fs::path& group)
{
    std::error_code ignored;
    std::vector<fs::path> children;
    for (const auto& entry : fs::directory_iterator(group, ignored)) {
        if (entry.is_directory(ignored)) children.push_back(entry.path());
    }
    for (const auto& child : children) removeGroup(child);
    auto end = std::chrono::steady_clock::now() + kEmptyWithin;
    // A killed process leaves its group a moment after it has been reaped.
    while (::rmdir(group.c_str()) < 0) {
        if (errno != EBUSY || std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, 5);
    }
    return true;
}

std::vector<fs::path> groupsNamed(const std::string& name)
{
    std::vector<fs::path> groups;
    for (const auto& hierarchy : cgroupHierarchies(mountsOfThisProcess())) {
        std::vector<fs::path> parents = {hierarchy.point};
        if (hierarchy.version == 2) parents.push_back(ownGroup(hierarchy));
        for (const auto& parent : parents) {
            std::error_code ignored;
            auto group = parent / name;
            bool known = std::find(groups.begin(), groups.end(), group) != groups.end();
            if (!known && fs::is_directory(group, ignored)) groups.push_back(group);
        }
    }
    return groups;
}

}  // namespace

std::vector<Hierarchy> cgroupHierarchies(const std::vector<MountInfo>& mounts)
{
    static const std::set<std::string> kNotControllers = {"rw", "ro", "xattr", "clone_children",
                                                          "noprefix"};
    std::vector<Hierarchy> hierarchies;
    std::set<std::string> seen;
    for (const auto& mount : mounts) {
        bool two = mount.type == "cgroup2";
        if ((!two && mount.type != "cgroup") || !seen.insert(mount.device).second) continue;
        Hierarchy hierarchy{mount.point, two ? 2 : 1, ""};
        std::istringstream options(mount.superOptions);
        for (std::string option; !two && std::getline(options, option, ',');) {
            if (kNotControllers.contains(option) || option.starts_with("release_agent=")) continue;
            hierarchy.controllers += (hierarchy.controllers.empty() ? "" : ",") + option;
        }
        hierarchies.push_back(std::move(hierarchy));
    }
    return hierarchies;
}

Result<MachineCgroups> makeCgroups(const Spec& spec, Notes& notes)
{
    auto hierarchies = cgroupHierarchies(mountsOfThisProcess());
    if (spec.rootless) return makeDelegated(hierarchies, spec, notes);
    if (hierarchies.empty()) {
        return fail(Code::FailedPrecondition,
                    "no cgroup hierarchy is mounted; mount one: "
                    "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
    }
    MachineCgroups cgroups;
    bool anyOfVersion1 = false;
    for (const auto& hierarchy : hierarchies) {
        auto folder = hierarchy.point / spec.names.cgroup;
        TRY_VOID(makeGroup(folder, hierarchy.version));
        cgroups.folders.push_back(folder);
        if (hierarchy.version == 1) anyOfVersion1 = true;
    }
    cgroups.version = anyOfVersion1 ? 1 : 2;
    cgroups.writable = true;
    return cgroups;
}

bool canUseDelegatedCgroup(const std::vector<Hierarchy>& hierarchies)
{
    for (const auto& hierarchy : hierarchies) {
        if (hierarchy.version != 2) continue;
        auto own = ownGroup(hierarchy);
        const char* given = holdsOnlyOurs(own) ? "cgroup.controllers" : "cgroup.subtree_control";
        return ::access((own / "cgroup.procs").c_str(), W_OK) == 0 &&
               isWord(readText(own / given), "memory");
    }
    return false;
}

Result<> joinCgroups(const MachineCgroups& cgroups)
{
    for (const auto& folder : cgroups.folders) {
        if (auto joined = writeText(folder / "cgroup.procs", "0"); !joined) {
            return tl::unexpected<Error>(
                context(fmt::format("join cgroup {}", folder.string()), std::move(joined).error()));
        }
    }
    return {};
}

Result<> joinLeaves(const MachineCgroups& cgroups)
{
    for (const auto& folder : cgroups.folders) {
        if (!fs::exists(folder / "cgroup.controllers")) continue;  // Version 1.
        auto leaf = folder / kMachineLeaf;
        TRY_VOID(makeFolders(leaf));
        TRY_VOID(writeText(leaf / "cgroup.procs", "0"));
    }
    return {};
}

std::vector<std::string> removeCgroups(const std::string& name)
{
    std::vector<std::string> removed;
    auto groups = groupsNamed(name);
    killAll(groups);
    for (const auto& group : groups) {
        if (removeGroup(group)) removed.push_back("cgroup " + group.string());
    }
    return removed;
}

std::uint64_t cgroupMemoryBytes(const std::string& name)
{
    for (const auto& group : groupsNamed(name)) {
        for (const char* file : {"memory.usage_in_bytes", "memory.current"}) {
            auto text = readText(group / file);
            if (!text.empty()) return std::stoull(text);
        }
    }
    return 0;
}

}  // namespace slipway
