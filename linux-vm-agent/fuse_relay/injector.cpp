// Theory of operation. One call for each order, then an acknowledgement; the file server answers
// what the call asks of the share without touching the disk, and the kernel raises the event. The
// folder that the name is in is opened below the mount, never over a symbolic link and never into
// another file system, as what lies there is the containers' to change and this process is root.
#include "linux-vm-agent/fuse_relay/injector.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/core/log.h"
#include "shared/fuse/message_stream.h"

namespace slipway {
namespace {

using fuse::InHeader;
using fuse::InjectBody;
using fuse::Injection;

struct Place {
    Descriptor directory;
    std::string name;
};

int openBelow(int root, const std::string& path, std::uint64_t flags)
{
    open_how how{};
    how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

Place placeOf(int root, const std::string& path)
{
    auto slash = path.rfind('/');
    std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
    return {Descriptor(openBelow(root, parent, O_PATH | O_DIRECTORY)), path.substr(slash + 1)};
}

int touch(int directory, const std::string& name)
{
    Descriptor file(
        ::openat(directory, name.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return -1;
    // The time of change alone makes the kernel raise IN_MODIFY.
    std::array times{timespec{0, UTIME_OMIT}, timespec{0, UTIME_NOW}};
    return ::futimens(file.get(), times.data());
}

int repeatMode(int directory, const std::string& name, mode_t mode)
{
    Descriptor file(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return -1;
    return ::chmod(("/proc/self/fd/" + std::to_string(file.get())).c_str(), mode);
}

int create(int directory, const std::string& name, mode_t mode)
{
    if (S_ISDIR(mode)) return ::mkdirat(directory, name.c_str(), mode & 07777);
    if (S_ISLNK(mode)) return ::symlinkat("injected", directory, name.c_str());
    return ::mknodat(directory, name.c_str(), mode, 0);
}

int perform(int root, const InjectBody& order, const std::string& path, const std::string& newPath)
{
    Place at = placeOf(root, path);
    if (!at.directory) return errno;
    int outcome = 0;
    switch (order.what) {
        case Injection::Create:
            outcome = create(at.directory.get(), at.name, order.mode);
            break;
        case Injection::Delete:
            outcome = ::unlinkat(at.directory.get(), at.name.c_str(),
                                 S_ISDIR(order.mode) ? AT_REMOVEDIR : 0);
            break;
        case Injection::Modify:
            outcome = touch(at.directory.get(), at.name);
            break;
        case Injection::Attrib:
            outcome = repeatMode(at.directory.get(), at.name, order.mode & 07777);
            break;
        case Injection::Rename: {
            Place to = placeOf(root, newPath);
            if (!to.directory) return errno;
            outcome = ::renameat(at.directory.get(), at.name.c_str(), to.directory.get(),
                                 to.name.c_str());
            break;
        }
        default:
            return EINVAL;
    }
    return outcome < 0 ? errno : 0;
}

template <class T>
bool send(fuse::MessageStream& stream, fuse::Opcode opcode, const T& body)
{
    InHeader header{};
    header.len = sizeof header + sizeof body;
    header.opcode = opcode;
    std::array parts{std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(&body, 1))};
    return stream.write(parts);
}

}  // namespace

int injectorMain(const std::filesystem::path& mountPoint)
{
    ::setfsgid(fuse::kInjectorGid);
    ::umask(0);
    fuse::MessageStream agent{Descriptor(STDIN_FILENO)};
    Descriptor root(::open(mountPoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        log::error("files: open {}: {}", mountPoint.string(), std::strerror(errno));
        return 1;
    }
    fuse::InjectorReadyBody ready{static_cast<std::uint32_t>(::getpid()), 0};
    if (!send(agent, fuse::Opcode::InjectorReady, ready)) return 0;

    std::vector<std::byte> message;
    while (agent.read(message)) {
        fuse::Body body(message);
        body.take<fuse::OutHeader>();
        auto order = body.take<InjectBody>();
        auto path = body.data(order.pathBytes);
        auto newPath = body.data(order.newPathBytes);
        if (!body.good()) continue;
        auto text = [](fuse::Bytes bytes) {
            return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        };
        fuse::InjectionDoneBody done{order.sequence,
                                     perform(root.get(), order, text(path), text(newPath)), 0};
        log::debug("files: event {} of {}: {}", static_cast<int>(order.what), text(path),
                   done.error);
        if (!send(agent, fuse::Opcode::InjectionDone, done)) return 0;
    }
    return 0;
}

}  // namespace slipway
