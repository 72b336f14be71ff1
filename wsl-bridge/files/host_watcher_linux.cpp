// inotify and the mount table behind HostWatcher. Host writes through a shared mapping raise
// nothing there, on any kernel: such a change is seen by the guest when it asks for the file's
// attributes anew.
#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fmt/format.h>

#include "wsl-bridge/files/linux_handle.h"

namespace slipway {
namespace {

constexpr std::uint32_t kOfFile = IN_MODIFY | IN_ATTRIB;
constexpr std::uint32_t kOfDirectory =
    kOfFile | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK;

std::optional<HostEvent::What> meaningOf(std::uint32_t mask)
{
    using What = HostEvent::What;
    if (mask & IN_Q_OVERFLOW) return What::Overflow;
    if (mask & IN_IGNORED) return What::Gone;
    if (mask & IN_CREATE) return What::Created;
    if (mask & IN_DELETE) return What::Deleted;
    if (mask & IN_MOVED_FROM) return What::MovedFrom;
    if (mask & IN_MOVED_TO) return What::MovedTo;
    if (mask & IN_MODIFY) return What::Modified;
    if (mask & IN_ATTRIB) return What::Attributes;
    return std::nullopt;
}

// What the kernel would stamp a file with now.
FileTime fileClock()
{
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return {now.tv_sec, static_cast<std::uint32_t>(now.tv_nsec)};
}

// A path as proc_pid_mountinfo(5) has it: blanks and the like are \ooo.
std::string plain(const std::string& escaped)
{
    std::string path;
    for (std::size_t at = 0; at < escaped.size(); ++at) {
        bool isEscape = escaped[at] == '\\' && at + 3 < escaped.size();
        path += isEscape ? static_cast<char>(std::stoi(escaped.substr(at + 1, 3), nullptr, 8))
                         : escaped[at];
        if (isEscape) at += 3;
    }
    return path;
}

class MountTable {
public:
    MountTable() : m_changed(::open(kFile, O_RDONLY | O_CLOEXEC)), m_mounts(mounts()) {}

    // Polled for POLLPRI, it is ready once after each change; -1: there is none.
    int changed() const { return m_changed.get(); }

    // Where something was mounted or unmounted since it was last asked.
    std::set<std::string> changes()
    {
        auto before = std::exchange(m_mounts, mounts());
        std::set<Mount> differing;
        std::set_symmetric_difference(before.begin(), before.end(), m_mounts.begin(),
                                      m_mounts.end(), std::inserter(differing, differing.end()));
        std::set<std::string> places;
        for (const auto& [id, place] : differing) places.insert(plain(place));
        return places;
    }

private:
    using Mount = std::pair<std::string, std::string>;  // Its number, and where.
    static constexpr const char* kFile = "/proc/self/mountinfo";

    static std::set<Mount> mounts()
    {
        std::set<Mount> all;
        std::ifstream in(kFile);
        for (std::string line; std::getline(in, line);) {
            std::istringstream fields(line);
            std::string id, parent, device, root, place;
            if (fields >> id >> parent >> device >> root >> place) all.emplace(id, place);
        }
        return all;
    }

    Descriptor m_changed;
    std::set<Mount> m_mounts;
};

class InotifyWatcher final : public HostWatcher {
public:
    InotifyWatcher(Descriptor inotify, Descriptor wake)
        : m_inotify(std::move(inotify)), m_wake(std::move(wake))
    {
    }

    FuseResult<int> add(const Handle& file, bool isDirectory) override
    {
        auto path = fmt::format("/proc/self/fd/{}", fdOf(file));
        int watch = ::inotify_add_watch(m_inotify.get(), path.c_str(),
                                        isDirectory ? kOfDirectory : kOfFile);
        if (watch < 0) return refuse(static_cast<Errno>(errno));
        return watch;
    }

    void remove(int watch) override { ::inotify_rm_watch(m_inotify.get(), watch); }

    std::vector<HostEvent> wait(int timeoutMs) override
    {
        std::vector<HostEvent> events;
        std::array<pollfd, 3> ready{pollfd{m_inotify.get(), POLLIN, 0},
                                    pollfd{m_wake.get(), POLLIN, 0},
                                    pollfd{m_mounts.changed(), POLLPRI, 0}};
        if (::poll(ready.data(), ready.size(), timeoutMs) <= 0) return events;
        if (ready[1].revents & POLLIN) {
            eventfd_t count = 0;
            ::eventfd_read(m_wake.get(), &count);
        }
        if (ready[2].revents & POLLPRI) {
            for (const auto& place : m_mounts.changes()) {
                HostEvent seen;
                seen.what = HostEvent::What::Mounts;
                seen.name = place;
                events.push_back(std::move(seen));
            }
        }
        readEvents(events);
        return events;
    }

    void wake() override { ::eventfd_write(m_wake.get(), 1); }

private:
    // All there are: the kernel keeps 16,384, and more may come while these are dealt with.
    void readEvents(std::vector<HostEvent>& events)
    {
        alignas(inotify_event) std::array<char, 65536> buffer;
        for (;;) {
            FileTime now = fileClock();
            ssize_t count = ::read(m_inotify.get(), buffer.data(), buffer.size());
            if (count <= 0) {
                m_emptied = now;
                return;
            }
            for (ssize_t at = 0; at < count;) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
                at += static_cast<ssize_t>(sizeof *event + event->len);
                auto what = meaningOf(event->mask);
                if (!what) continue;
                HostEvent seen;
                seen.what = *what;
                seen.watch = event->wd;
                seen.isDirectory = (event->mask & IN_ISDIR) != 0;
                seen.cookie = event->cookie;
                if (event->len > 0) seen.name = event->name;
                if (*what == HostEvent::What::Overflow) seen.since = m_emptied;
                events.push_back(std::move(seen));
            }
        }
    }

    Descriptor m_inotify;
    Descriptor m_wake;
    MountTable m_mounts;
    FileTime m_emptied = fileClock();  // When the queue was seen empty.
};

}  // namespace

Result<std::unique_ptr<HostWatcher>> hostWatcher()
{
    Descriptor inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify) {
        return failErrno("watch shared folders: inotify (raise fs.inotify.max_user_instances)",
                         errno);
    }
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return failErrno("watch shared folders: eventfd", errno);
    return std::make_unique<InotifyWatcher>(std::move(inotify), std::move(wake));
}

}  // namespace slipway
