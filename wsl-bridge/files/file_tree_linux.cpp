// Theory of operation. A Handle is an O_PATH descriptor, or one opened for data. A name is looked
// up with openat2 as one component below a handle (RESOLVE_BENEATH, no symbolic and no magic
// links), so neither a link nor a rename on the host leads out. O_PATH opens nothing: no device is
// started, no fifo waits, no permission is needed. What needs a real descriptor is opened anew
// through /proc/self/fd once facts() has shown a regular file or a directory.
//
// Ownership. As root a new file is handed to the container user that made it, as the kernel would
// have done: the folder's group where it is set-gid. Special bits come after the change of owner,
// as that clears them, and so that no file is ever root's and set-uid for a moment. As an ordinary
// user nothing can be handed over; the user's own files are then shown as root's, as in a rootless
// machine the user *is* root, and everybody else's as nobody's.
#include "wsl-bridge/files/file_tree.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/fuse/wire.h"
#include "shared/io/descriptor.h"
#include "wsl-bridge/files/linux_handle.h"

namespace slipway {
namespace {

constexpr std::uint32_t kNobody = 65534;
constexpr std::uint64_t kNanoPerSecond = 1'000'000'000;

tl::unexpected<Errno> failed()
{
    return refuse(static_cast<Errno>(errno));
}

FuseResult<> done(int outcome)
{
    if (outcome < 0) return failed();
    return {};
}

HandlePtr hold(int fd)
{
    return std::make_shared<LinuxHandle>(Descriptor(fd));
}

// A path that leads to the file a descriptor holds, for calls that take no O_PATH descriptor.
std::string magicPath(const Handle& handle)
{
    return fmt::format("/proc/self/fd/{}", fdOf(handle));
}

int openBeneath(int directory, const char* path, std::uint64_t flags, std::uint64_t resolve,
                std::uint64_t mode = 0)
{
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.mode = mode;
    how.resolve = resolve | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    for (;;) {
        long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
    }
}

FileTime timeOf(const statx_timestamp& time)
{
    return {time.tv_sec, time.tv_nsec};
}

// linux/kdev_t.h, new_encode_dev.
std::uint32_t encodeDevice(std::uint32_t major, std::uint32_t minor)
{
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

class LinuxFileTree final : public FileTree {
public:
    FuseResult<HandlePtr> open(const std::filesystem::path& path) const override
    {
        int fd = openBeneath(AT_FDCWD, path.c_str(), O_PATH, 0);
        if (fd < 0) return failed();
        return hold(fd);
    }

    FuseResult<HandlePtr> openChild(const Handle& directory, std::string_view name) const override
    {
        int fd = openBeneath(fdOf(directory), std::string(name).c_str(), O_PATH | O_NOFOLLOW,
                             RESOLVE_BENEATH);
        if (fd < 0) return failed();
        return hold(fd);
    }

    FuseResult<FileFacts> facts(const Handle& file) const override
    {
        return factsAt(fdOf(file), "", AT_EMPTY_PATH);
    }

    FuseResult<FileFacts> factsOfChild(const Handle& directory,
                                       std::string_view name) const override
    {
        return factsAt(fdOf(directory), std::string(name).c_str(), 0);
    }

    FuseResult<HandlePtr> openData(const Handle& file, bool forWriting) const override
    {
        auto known = facts(file);
        if (!known) return refuse(known.error());
        if ((known->mode & fuse::kTypeMask) == fuse::kTypeDirectory)
            return refuse(Errno::IsDirectory);
        if ((known->mode & fuse::kTypeMask) != fuse::kTypeRegular) return refuse(Errno::Invalid);
        int access = forWriting ? O_RDWR : O_RDONLY;
        int fd = ::open(magicPath(file).c_str(), access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        // A file that may be written but not read.
        if (fd < 0 && errno == EACCES && forWriting) {
            fd = ::open(magicPath(file).c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        }
        if (fd < 0) return failed();
        return hold(fd);
    }

    FuseResult<std::size_t> read(const Handle& data, std::uint64_t offset,
                                 std::span<std::byte> into) const override
    {
        std::size_t have = 0;
        while (have < into.size()) {
            ssize_t count = ::pread(fdOf(data), into.data() + have, into.size() - have,
                                    static_cast<off_t>(offset + have));
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return failed();
            if (count == 0) break;
            have += static_cast<std::size_t>(count);
        }
        return have;
    }

    std::optional<std::size_t> read(const Handle& data, std::uint64_t offset, std::size_t size,
                                    KernelPipe& into) const override
    {
        return into.takeFrom(fdOf(data), offset, size);
    }

    FuseResult<std::vector<std::byte>> peek(const Handle& file, std::size_t size) const override
    {
        Descriptor fd(
            ::open(magicPath(file).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME));
        if (!fd) return failed();
        std::vector<std::byte> bytes(size);
        TRY(auto count, read(LinuxHandle(std::move(fd)), 0, bytes));
        bytes.resize(count);
        return bytes;
    }

    FuseResult<std::size_t> write(const Handle& data, std::uint64_t offset,
                                  std::span<const std::byte> from) const override
    {
        std::size_t have = 0;
        while (have < from.size()) {
            ssize_t count = ::pwrite(fdOf(data), from.data() + have, from.size() - have,
                                     static_cast<off_t>(offset + have));
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && have == 0) return failed();
            if (count <= 0) break;
            have += static_cast<std::size_t>(count);
        }
        return have;
    }

    FuseResult<> sync(const Handle& data, bool dataOnly) const override
    {
        return done(dataOnly ? ::fdatasync(fdOf(data)) : ::fsync(fdOf(data)));
    }

    FuseResult<> syncDirectory(const Handle& directory) const override
    {
        Descriptor fd(::openat(fdOf(directory), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) return failed();
        return done(::fsync(fd.get()));
    }

    FuseResult<> allocate(const Handle& data, std::uint32_t mode, std::uint64_t offset,
                          std::uint64_t length) const override
    {
        return done(::fallocate(fdOf(data), static_cast<int>(mode), static_cast<off_t>(offset),
                                static_cast<off_t>(length)));
    }

    FuseResult<std::uint64_t> seek(const Handle& data, std::uint64_t offset,
                                   std::uint32_t whence) const override
    {
        if (whence != SEEK_DATA && whence != SEEK_HOLE) return refuse(Errno::Invalid);
        off_t found = ::lseek(fdOf(data), static_cast<off_t>(offset), static_cast<int>(whence));
        if (found < 0) return failed();
        return static_cast<std::uint64_t>(found);
    }

    FuseResult<> list(const Handle& directory, std::uint64_t cursor,
                      const EachEntry& each) const override;

    FuseResult<HandlePtr> makeRegular(const Handle& directory, std::string_view name,
                                      const NewFile& what) const override
    {
        ::umask(what.umask & 0777);
        int fd = openBeneath(fdOf(directory), std::string(name).c_str(),
                             O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_NONBLOCK, RESOLVE_BENEATH,
                             what.mode & 0777);
        if (fd < 0) return failed();
        HandlePtr file = hold(fd);
        if (auto given = giveTo(*file, directory, what); !given) return refuse(given.error());
        return file;
    }

    FuseResult<HandlePtr> makeUnnamed(const Handle& directory, const NewFile& what) const override
    {
        ::umask(what.umask & 0777);
        int fd = ::openat(fdOf(directory), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, what.mode & 0777);
        if (fd < 0) return failed();
        HandlePtr file = hold(fd);
        if (auto given = giveTo(*file, directory, what); !given) return refuse(given.error());
        return file;
    }

    FuseResult<> makeSpecial(const Handle& directory, std::string_view name,
                             const NewFile& what) const override
    {
        auto type = what.mode & fuse::kTypeMask;
        // A device node that a container made would be a real one on the host. An overlay's
        // whiteout (a character device 0:0) opens nothing.
        bool whiteout = type == fuse::kTypeCharacter && what.deviceNumber == 0;
        if (type != fuse::kTypeFifo && type != fuse::kTypeSocket && !whiteout) {
            return refuse(Errno::NotPermitted);
        }
        ::umask(what.umask & 0777);
        if (::mknodat(fdOf(directory), std::string(name).c_str(), type | (what.mode & 0777), 0) !=
            0) {
            return failed();
        }
        return giveChild(directory, name, what);
    }

    FuseResult<> makeDirectory(const Handle& directory, std::string_view name,
                               const NewFile& what) const override
    {
        ::umask(what.umask & 0777);
        if (::mkdirat(fdOf(directory), std::string(name).c_str(), what.mode & 01777) != 0)
            return failed();
        return giveChild(directory, name, what);
    }

    FuseResult<> makeSymlink(const Handle& directory, std::string_view name,
                             std::string_view target, const NewFile& what) const override
    {
        if (::symlinkat(std::string(target).c_str(), fdOf(directory), std::string(name).c_str()) !=
            0) {
            return failed();
        }
        return giveChild(directory, name, what);
    }

    FuseResult<> makeLink(const Handle& file, const Handle& directory,
                          std::string_view name) const override
    {
        return done(::linkat(AT_FDCWD, magicPath(file).c_str(), fdOf(directory),
                             std::string(name).c_str(), AT_SYMLINK_FOLLOW));
    }

    FuseResult<> removeFile(const Handle& directory, std::string_view name) const override
    {
        return done(::unlinkat(fdOf(directory), std::string(name).c_str(), 0));
    }

    FuseResult<> removeDirectory(const Handle& directory, std::string_view name) const override
    {
        return done(::unlinkat(fdOf(directory), std::string(name).c_str(), AT_REMOVEDIR));
    }

    FuseResult<> rename(const Handle& directory, std::string_view name, const Handle& newDirectory,
                        std::string_view newName, std::uint32_t flags) const override
    {
        return done(
            static_cast<int>(::syscall(SYS_renameat2, fdOf(directory), std::string(name).c_str(),
                                       fdOf(newDirectory), std::string(newName).c_str(), flags)));
    }

    FuseResult<std::string> readLink(const Handle& link) const override
    {
        std::string target(PATH_MAX, '\0');
        ssize_t length = ::readlinkat(fdOf(link), "", target.data(), target.size());
        if (length < 0) return failed();
        target.resize(static_cast<std::size_t>(length));
        return target;
    }

    FuseResult<> change(const Handle& file, const FileChanges& changes) const override;

    FuseResult<VolumeFacts> volume(const Handle& file) const override
    {
        struct statvfs stat {};
        if (::fstatvfs(fdOf(file), &stat) != 0) return failed();
        VolumeFacts facts;
        facts.blocks = stat.f_blocks;
        facts.blocksFree = stat.f_bfree;
        facts.blocksAvailable = stat.f_bavail;
        facts.files = stat.f_files;
        facts.filesFree = stat.f_ffree;
        facts.blockBytes = static_cast<std::uint32_t>(stat.f_bsize);
        facts.fragmentBytes = static_cast<std::uint32_t>(stat.f_frsize);
        facts.maxNameBytes = static_cast<std::uint32_t>(stat.f_namemax);
        return facts;
    }

    FuseResult<std::string> attribute(const Handle& file, std::string_view name) const override
    {
        if (!isUsers(name)) {
            // Asked at every exec and write; none of ours has any.
            return refuse(Errno::NotSupported);
        }
        std::string value(XATTR_SIZE_MAX, '\0');
        ssize_t size = ::getxattr(magicPath(file).c_str(), std::string(name).c_str(), value.data(),
                                  value.size());
        if (size < 0) return failed();
        value.resize(static_cast<std::size_t>(size));
        return value;
    }

    FuseResult<> setAttribute(const Handle& file, std::string_view name,
                              std::span<const std::byte> value, std::uint32_t flags) const override
    {
        if (!isUsers(name)) return refuse(Errno::NotSupported);
        return done(::setxattr(magicPath(file).c_str(), std::string(name).c_str(), value.data(),
                               value.size(), static_cast<int>(flags)));
    }

    FuseResult<std::string> attributeNames(const Handle& file) const override
    {
        std::string all(XATTR_LIST_MAX, '\0');
        ssize_t size = ::listxattr(magicPath(file).c_str(), all.data(), all.size());
        if (size < 0) return failed();
        std::string users;
        for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
            std::string_view name(all.c_str() + at);
            if (isUsers(name)) users.append(name).push_back('\0');
            at += name.size() + 1;
        }
        return users;
    }

    FuseResult<> removeAttribute(const Handle& file, std::string_view name) const override
    {
        if (!isUsers(name)) return refuse(Errno::NotSupported);
        return done(::removexattr(magicPath(file).c_str(), std::string(name).c_str()));
    }

    Result<> prepareThread() const override
    {
        if (::unshare(CLONE_FS) != 0)
            return failErrno("give a file thread a umask of its own", errno);
        return {};
    }

private:
    static bool isUsers(std::string_view name) { return name.starts_with("user."); }

    FuseResult<FileFacts> factsAt(int directory, const char* name, int flags) const;
    FuseResult<> giveTo(const Handle& file, const Handle& directory, const NewFile& what) const;
    FuseResult<> giveChild(const Handle& directory, std::string_view name,
                           const NewFile& what) const;

    std::uint32_t shownUser(std::uint32_t uid) const
    {
        return m_isRoot ? uid : uid == m_uid ? 0 : kNobody;
    }
    std::uint32_t shownGroup(std::uint32_t gid) const
    {
        return m_isRoot ? gid : gid == m_gid ? 0 : kNobody;
    }

    const std::uint32_t m_uid = ::geteuid();
    const std::uint32_t m_gid = ::getegid();
    const bool m_isRoot = m_uid == 0;
};

FuseResult<FileFacts> LinuxFileTree::factsAt(int directory, const char* name, int flags) const
{
    struct statx stat {};
    if (::statx(directory, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                STATX_BASIC_STATS | STATX_BTIME, &stat) != 0) {
        return failed();
    }
    FileFacts facts;
    facts.identity.device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
    facts.identity.inode = stat.stx_ino;
    facts.identity.birthNs =
        static_cast<std::uint64_t>(stat.stx_btime.tv_sec) * kNanoPerSecond + stat.stx_btime.tv_nsec;
    facts.mode = stat.stx_mode;
    facts.links = stat.stx_nlink;
    facts.uid = shownUser(stat.stx_uid);
    facts.gid = shownGroup(stat.stx_gid);
    facts.deviceNumber = encodeDevice(stat.stx_rdev_major, stat.stx_rdev_minor);
    facts.blockBytes = stat.stx_blksize;
    facts.size = stat.stx_size;
    facts.blocks = stat.stx_blocks;
    facts.accessed = timeOf(stat.stx_atime);
    facts.modified = timeOf(stat.stx_mtime);
    facts.changed = timeOf(stat.stx_ctime);
    return facts;
}

FuseResult<> LinuxFileTree::giveTo(const Handle& file, const Handle& directory,
                                   const NewFile& what) const
{
    if (!m_isRoot) return {};
    auto parent = facts(directory);
    if (!parent) return refuse(parent.error());
    bool inheritsGroup = (parent->mode & fuse::kSetGid) != 0;
    gid_t gid = inheritsGroup ? static_cast<gid_t>(-1) : what.gid;
    if (::fchownat(fdOf(file), "", what.uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
        return failed();
    }
    if ((what.mode & fuse::kTypeMask) == fuse::kTypeRegular && (what.mode & 07000) != 0) {
        auto made = facts(file);
        if (!made) return refuse(made.error());
        return done(::chmod(magicPath(file).c_str(), (made->mode & 0777) | (what.mode & 07000)));
    }
    return {};
}

FuseResult<> LinuxFileTree::giveChild(const Handle& directory, std::string_view name,
                                      const NewFile& what) const
{
    if (!m_isRoot) return {};
    auto file = openChild(directory, name);
    if (!file) return refuse(file.error());
    return giveTo(**file, directory, what);
}

FuseResult<> LinuxFileTree::list(const Handle& directory, std::uint64_t cursor,
                                 const EachEntry& each) const
{
    Descriptor fd(::openat(fdOf(directory), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return failed();
    if (cursor != 0 && ::lseek(fd.get(), static_cast<off_t>(cursor), SEEK_SET) < 0) return failed();
    alignas(dirent64) std::array<char, 32768> buffer;
    for (;;) {
        ssize_t count = ::getdents64(fd.get(), buffer.data(), buffer.size());
        if (count < 0) return failed();
        if (count == 0) return {};
        for (ssize_t at = 0; at < count;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
            at += entry->d_reclen;
            DirectoryEntry found;
            found.name = entry->d_name;
            found.inode = entry->d_ino;
            found.type = DTTOIF(static_cast<std::uint32_t>(entry->d_type));
            found.cursor = static_cast<std::uint64_t>(entry->d_off);
            if (!each(found)) return {};
        }
    }
}

FuseResult<> LinuxFileTree::change(const Handle& file, const FileChanges& changes) const
{
    if (changes.uid || changes.gid) {
        auto uid = changes.uid.value_or(static_cast<std::uint32_t>(-1));
        auto gid = changes.gid.value_or(static_cast<std::uint32_t>(-1));
        if (m_isRoot) {
            if (::fchownat(fdOf(file), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
                return failed();
            }
        } else {
            auto now = facts(file);
            if (!now) return refuse(now.error());
            if ((changes.uid && uid != now->uid) || (changes.gid && gid != now->gid)) {
                return refuse(Errno::NotPermitted);
            }
        }
    }
    if (changes.size) {
        auto data = openData(file, true);
        if (!data) return refuse(data.error());
        if (::ftruncate(fdOf(**data), static_cast<off_t>(*changes.size)) != 0) return failed();
    }
    auto mode = changes.mode;
    if (!mode && changes.dropSetIds) {
        auto now = facts(file);
        if (!now) return refuse(now.error());
        std::uint32_t drop = fuse::kSetUid;
        if (now->mode & fuse::kGroupExecute) drop |= fuse::kSetGid;
        bool regular = (now->mode & fuse::kTypeMask) == fuse::kTypeRegular;
        if (regular && (now->mode & drop)) mode = now->mode & ~drop;
    }
    if (mode && ::chmod(magicPath(file).c_str(), *mode & fuse::kPermissionMask) != 0)
        return failed();

    if (changes.accessed || changes.modified || changes.accessedNow || changes.modifiedNow) {
        auto spec = [](const std::optional<FileTime>& time, bool now) -> timespec {
            if (now) return {0, UTIME_NOW};
            if (!time) return {0, UTIME_OMIT};
            return {time->seconds, static_cast<long>(time->nanoseconds)};
        };
        std::array times{spec(changes.accessed, changes.accessedNow),
                         spec(changes.modified, changes.modifiedNow)};
        return done(::utimensat(fdOf(file), "", times.data(), AT_EMPTY_PATH));
    }
    return {};
}

}  // namespace

std::unique_ptr<FileTree> hostFileTree()
{
    return std::make_unique<LinuxFileTree>();
}

}  // namespace slipway
