#include "tests/support/left_overs.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"
#include "tests/support/slipway_fixture.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/names.h"
#include "wsl-bridge/machine/sandbox/user_map.h"

namespace slipway::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// The ids of an ordinary user who owns a home, its subordinate ones included.
struct OwnIds {
    uid_t uid;
    std::optional<IdRange> subIds;
    bool holds(uid_t other) const
    {
        return other == uid ||
               (subIds && other >= subIds->first && other - subIds->first < subIds->count);
    }
};

std::optional<OwnIds> idsOfOwner(const Home& home)
{
    struct stat info {};
    if (::stat(home.root.parent_path().c_str(), &info) != 0 || info.st_uid == 0)
        return std::nullopt;
    const passwd* entry = ::getpwuid(info.st_uid);
    auto range = subIdsOf(readText("/etc/subuid"), entry ? entry->pw_name : "", info.st_uid);
    return OwnIds{info.st_uid, range};
}

fs::path linkOf(const fs::path& link)
{
    std::error_code gone;
    return fs::read_symlink(link, gone);
}

bool opens(const fs::path& proc, const std::string& path)
{
    for (const char* name : {"cwd", "root", "exe"})
        if (linkOf(proc / name).string().starts_with(path)) return true;
    std::error_code gone;
    for (fs::directory_iterator at(proc / "fd", gone), end; !gone && at != end; at.increment(gone))
        if (linkOf(at->path()).string().starts_with(path)) return true;
    return false;
}

// A zombie is nobody: its new parent may take its time to reap it. Neither is a thread of the
// kernel.
bool lives(const fs::path& proc)
{
    auto stat = readText(proc / "stat");
    return stat.find(") Z ") == std::string::npos && !linkOf(proc / "exe").empty();
}

class Search {
public:
    explicit Search(const Home& home)
        : m_home(home),
          m_names(machineNames(home.instanceName(), home.root)),
          m_root(home.root.string()),
          m_owner(idsOfOwner(home))
    {
    }

    std::vector<std::string> things()
    {
        eachProcess([this](const fs::path& proc) { addMounts(proc); });
        eachProcess([this](const fs::path& proc) { addProcess(proc); });
        addLines("ip", {"-o", "link"}, m_names.link);
        addLines("nft", {"list", "tables"}, m_names.nftTable);
        addLines("losetup", {"-a"}, m_root);
        addCgroups();
        for (const char* config : {"docker", ".docker"}) addContexts(m_root + "/../" + config);
        addLostFuse();
        return std::move(m_things);
    }

private:
    template <class Visit>
    void eachProcess(Visit visit)
    {
        for (const auto& entry : fs::directory_iterator("/proc")) {
            auto name = entry.path().filename().string();
            bool number = name.find_first_not_of("0123456789") == std::string::npos;
            if (number && lives(entry.path())) visit(entry.path());
        }
    }

    void addMounts(const fs::path& proc)
    {
        auto space = linkOf(proc / "ns/mnt");
        if (space.empty() || !m_spaces.insert(space).second) return;
        std::istringstream mounts(readText(proc / "mountinfo"));
        for (std::string line; std::getline(mounts, line);) {
            if (line.find(m_root) == std::string::npos) continue;
            m_things.push_back(fmt::format("mount in {}: {}", space.string(), line));
            m_ourSpaces.insert(space);
        }
    }

    void addProcess(const fs::path& proc)
    {
        if (proc.filename() == std::to_string(::getpid())) return;
        struct stat info {};
        bool theirs = m_owner && ::stat(proc.c_str(), &info) == 0 && m_owner->holds(info.st_uid);
        auto space = linkOf(proc / "ns/mnt");
        bool sharesHosts = space == linkOf("/proc/self/ns/mnt");
        auto words = readText(proc / "cmdline");
        bool ours =
            theirs || (!sharesHosts && m_ourSpaces.contains(space)) ||
            words.find(m_root) != std::string::npos ||
            readText(proc / "environ").find("SLIPWAY_HOME=" + m_root + '\0') != std::string::npos ||
            readText(proc / "cgroup").find(m_names.cgroup) != std::string::npos ||
            opens(proc, m_root + "/");
        for (char& c : words)
            if (!c) c = ' ';
        if (ours)
            m_things.push_back(fmt::format("process {}: {}", proc.filename().string(), words));
    }

    void addLines(const char* program, std::vector<std::string> args, const std::string& word)
    {
        Command command{program, std::move(args)};
        auto output = outputOf(command, 10s);
        std::istringstream lines(output.value_or(""));
        for (std::string line; std::getline(lines, line);)
            if (line.find(word) != std::string::npos)
                m_things.push_back(fmt::format("{}: {}", program, line));
    }

    void addCgroups()
    {
        std::error_code gone;
        for (fs::recursive_directory_iterator at("/sys/fs/cgroup", gone), end; at != end;
             at.increment(gone))
            if (at->path().filename() == m_names.cgroup)
                m_things.push_back("cgroup " + at->path().string());
    }

    void addContexts(const fs::path& config)
    {
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(config / "contexts/meta", none))
            if (readText(entry.path() / "meta.json").find(m_home.endpointUrl()) !=
                std::string::npos)
                m_things.push_back("docker context " + entry.path().string());
    }

    // By its number nobody can tell whose a connection is, so one that nothing mounts is counted
    // whoever has lost it. One that is just being taken down, or up, by others is not lost.
    void addLostFuse()
    {
        std::set<std::string> lost;
        eventually([&] { return (lost = lostFuse()).empty(); }, 3s);
        for (const auto& number : lost) m_things.push_back("FUSE connection " + number);
    }

    std::set<std::string> lostFuse()
    {
        std::set<std::string> connections, mounted, spaces;
        auto control = newMount({"fusectl", {}});
        if (!control) return {};  // This kernel has no FUSE.
        for (const auto& entry :
             fs::directory_iterator(fmt::format("/proc/self/fd/{}", control->get())))
            connections.insert(entry.path().filename().string());
        eachProcess([&](const fs::path& proc) {
            if (!spaces.insert(linkOf(proc / "ns/mnt").string()).second) return;
            for (const auto& mount : parseMountInfo(readText(proc / "mountinfo")))
                if (mount.type.starts_with("fuse"))
                    mounted.insert(mount.device.substr(mount.device.find(':') + 1));
        });
        std::erase_if(connections, [&](const auto& number) { return mounted.contains(number); });
        return connections;
    }

    const Home& m_home;
    MachineNames m_names;
    std::string m_root;
    std::optional<OwnIds> m_owner;
    std::set<fs::path> m_spaces;
    std::set<fs::path> m_ourSpaces;
    std::vector<std::string> m_things;
};

}  // namespace

LeftOvers LeftOvers::of(const Home& home)
{
    return {Search(home).things()};
}

}  // namespace slipway::test
