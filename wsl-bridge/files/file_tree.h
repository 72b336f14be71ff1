// The host's files, without FUSE: what the file server asks of a platform.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "shared/fuse/errno.h"
#include "shared/io/kernel_pipe.h"

namespace slipway {

// One file, whatever its names are. Inode numbers are reused, so the time of birth is part of it.
struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t birthNs = 0;
    bool operator==(const Identity&) const = default;
};

struct FileTime {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    auto operator<=>(const FileTime&) const = default;
};

struct FileFacts {
    Identity identity;
    std::uint32_t mode = 0;  // Type and permissions as Linux has them.
    std::uint32_t links = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t deviceNumber = 0;  // As FUSE encodes it.
    std::uint32_t blockBytes = 0;
    std::uint64_t size = 0;
    std::uint64_t blocks = 0;  // Of 512 bytes.
    FileTime accessed, modified, changed;
};

// A file or directory held open, by whatever the platform holds them with. Shared, as operations on
// other threads may still need what a cache has given up.
class Handle {
public:
    virtual ~Handle() = default;
};
using HandlePtr = std::shared_ptr<const Handle>;

// Who makes a file, and how. `mode` is before `umask`, as FUSE_DONT_MASK sends it.
struct NewFile {
    std::uint32_t mode = 0;
    std::uint32_t umask = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t deviceNumber = 0;
};

struct FileChanges {
    std::optional<std::uint32_t> mode, uid, gid;
    std::optional<std::uint64_t> size;
    std::optional<FileTime> accessed, modified;
    bool accessedNow = false;
    bool modifiedNow = false;
    bool dropSetIds = false;  // Clear set-uid, and set-gid where the group may execute.
};

struct VolumeFacts {
    std::uint64_t blocks = 0, blocksFree = 0, blocksAvailable = 0, files = 0, filesFree = 0;
    std::uint32_t blockBytes = 0, fragmentBytes = 0, maxNameBytes = 0;
};

struct DirectoryEntry {
    std::string_view name;
    std::uint64_t inode = 0;
    std::uint32_t type = 0;    // As in the file's mode.
    std::uint64_t cursor = 0;  // Where the listing goes on after this entry.

    bool isDot() const { return name == "." || name == ".."; }
};

// Every call blocks and may come from any thread. No name is ever looked up but as a single
// component below a handle, and no symbolic link is ever followed, so nothing outside what was
// opened by open() can be reached, whatever others do to the tree meanwhile.
class FileTree {
public:
    virtual ~FileTree() = default;

    // A place to begin at: an absolute path with no symbolic link in it.
    virtual FuseResult<HandlePtr> open(const std::filesystem::path& path) const = 0;
    virtual FuseResult<HandlePtr> openChild(const Handle& directory,
                                            std::string_view name) const = 0;

    virtual FuseResult<FileFacts> facts(const Handle& file) const = 0;
    virtual FuseResult<FileFacts> factsOfChild(const Handle& directory,
                                               std::string_view name) const = 0;

    // The handle of a regular file for read() and, if asked for, write(). Anything else is refused.
    virtual FuseResult<HandlePtr> openData(const Handle& file, bool forWriting) const = 0;
    virtual FuseResult<std::size_t> read(const Handle& data, std::uint64_t offset,
                                         std::span<std::byte> into) const = 0;
    virtual FuseResult<std::size_t> write(const Handle& data, std::uint64_t offset,
                                          std::span<const std::byte> from) const = 0;
    // The same, without the bytes' coming here. None: it can't be done like this.
    virtual std::optional<std::size_t> read(const Handle& data, std::uint64_t offset,
                                            std::size_t size, KernelPipe& into) const = 0;
    // The first `size` bytes of a regular file, without a trace: its time of access stays what it
    // was. Refused where that can't be.
    virtual FuseResult<std::vector<std::byte>> peek(const Handle& file, std::size_t size) const = 0;
    virtual FuseResult<> sync(const Handle& data, bool dataOnly) const = 0;
    virtual FuseResult<> syncDirectory(const Handle& directory) const = 0;
    virtual FuseResult<> allocate(const Handle& data, std::uint32_t mode, std::uint64_t offset,
                                  std::uint64_t length) const = 0;
    // `whence` is SEEK_DATA (3) or SEEK_HOLE (4).
    virtual FuseResult<std::uint64_t> seek(const Handle& data, std::uint64_t offset,
                                           std::uint32_t whence) const = 0;

    // Entries from `cursor` (0: the first) until `each` returns false, "." and ".." among them.
    using EachEntry = std::function<bool(const DirectoryEntry&)>;
    virtual FuseResult<> list(const Handle& directory, std::uint64_t cursor,
                              const EachEntry& each) const = 0;

    // Each fails with Exists where the name is taken. A regular file comes back open for writing.
    virtual FuseResult<HandlePtr> makeRegular(const Handle& directory, std::string_view name,
                                              const NewFile& what) const = 0;
    // One that vanishes with its last handle unless makeLink() gives it a name.
    virtual FuseResult<HandlePtr> makeUnnamed(const Handle& directory,
                                              const NewFile& what) const = 0;
    virtual FuseResult<> makeSpecial(const Handle& directory, std::string_view name,
                                     const NewFile& what) const = 0;
    virtual FuseResult<> makeDirectory(const Handle& directory, std::string_view name,
                                       const NewFile& what) const = 0;
    virtual FuseResult<> makeSymlink(const Handle& directory, std::string_view name,
                                     std::string_view target, const NewFile& what) const = 0;
    virtual FuseResult<> makeLink(const Handle& file, const Handle& directory,
                                  std::string_view name) const = 0;

    virtual FuseResult<> removeFile(const Handle& directory, std::string_view name) const = 0;
    virtual FuseResult<> removeDirectory(const Handle& directory, std::string_view name) const = 0;
    // `flags` as renameat2(2) has them.
    virtual FuseResult<> rename(const Handle& directory, std::string_view name,
                                const Handle& newDirectory, std::string_view newName,
                                std::uint32_t flags) const = 0;

    virtual FuseResult<std::string> readLink(const Handle& link) const = 0;
    virtual FuseResult<> change(const Handle& file, const FileChanges& changes) const = 0;
    virtual FuseResult<VolumeFacts> volume(const Handle& file) const = 0;

    // Extended attributes of users; the rest is refused with NotSupported.
    virtual FuseResult<std::string> attribute(const Handle& file, std::string_view name) const = 0;
    virtual FuseResult<> setAttribute(const Handle& file, std::string_view name,
                                      std::span<const std::byte> value,
                                      std::uint32_t flags) const = 0;
    virtual FuseResult<std::string> attributeNames(
        const Handle& file) const = 0;  // Zero-ended each.
    virtual FuseResult<> removeAttribute(const Handle& file, std::string_view name) const = 0;

    // For the calling thread, once, before its first make…(): the umask is a thread's own from then
    // on.
    virtual Result<> prepareThread() const = 0;
};

// Of the host we run on.
std::unique_ptr<FileTree> hostFileTree();

// Watches what the guest knows. A watch tells of a directory's own attributes and of its entries,
// or of a single file. Told by wait() on one thread; everything else from any. That something was
// mounted or unmounted somewhere is told without a watch.
struct HostEvent {
    enum class What {
        Created,
        Deleted,
        MovedFrom,
        MovedTo,
        Modified,
        Attributes,
        Gone,
        Mounts,
        Overflow
    };
    What what = What::Overflow;
    int watch = -1;
    bool isDirectory = false;
    std::uint32_t cookie = 0;  // Pairs MovedFrom and MovedTo.
    std::string name;          // Empty: the watched file itself. Of Mounts: the whole path.
    FileTime since;            // Of Overflow: what had happened until then is not among the lost.
};

class HostWatcher {
public:
    virtual ~HostWatcher() = default;

    // The same file gives the same number. Fails with NoSpace where the host allows no more.
    virtual FuseResult<int> add(const Handle& file, bool isDirectory) = 0;
    virtual void remove(int watch) = 0;

    // Blocks until there is something, `timeoutMs` have passed (-1: never) or wake() was called.
    virtual std::vector<HostEvent> wait(int timeoutMs) = 0;
    virtual void wake() = 0;
};
Result<std::unique_ptr<HostWatcher>> hostWatcher();

}  // namespace slipway
