// The words of a `share` stream: the kernel's FUSE messages, raw, and our own beside them.
//
// Every message begins with its length, so a stream of them needs no framing of its own. The
// structures are the kernel's, stated again here because a host may have no linux/fuse.h. Source:
// Linux 6.18, include/uapi/linux/fuse.h (protocol 7.45; the comment behind each structure is its
// name there) and Documentation/filesystems/fuse/. Both ends are little endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slipway::fuse {

// One message at a time travels on a share; more channels would need FUSE_DEV_IOC_CLONE.
inline constexpr std::uint32_t kChannels = 1;

inline constexpr std::uint32_t kMajor = 7;
inline constexpr std::uint32_t kMinor = 38;  // What we answer to INIT.
inline constexpr std::uint64_t kRootId = 1;

inline constexpr std::uint32_t kPageBytes = 4096;
inline constexpr std::uint32_t kMaxPages = 256;
inline constexpr std::uint32_t kMaxDataBytes = kMaxPages * kPageBytes;  // Of one READ or WRITE.
// Of a READ: with its head it fits into 256 pages of a pipe, which is what anybody may have.
inline constexpr std::uint32_t kMaxReadBytes = (kMaxPages - 4) * kPageBytes;
// Data and the longest head before it (SETXATTR's name and value: 255 and 65,536 bytes).
inline constexpr std::uint32_t kMaxMessageBytes = kMaxDataBytes + 2 * 65536;
inline constexpr std::size_t kMaxNameBytes = 255;  // NAME_MAX; the kernel's own limit is 1,024.

enum class Opcode : std::uint32_t {
    Lookup = 1,
    Forget = 2,
    Getattr = 3,
    Setattr = 4,
    Readlink = 5,
    Symlink = 6,
    Mknod = 8,
    Mkdir = 9,
    Unlink = 10,
    Rmdir = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    Statfs = 17,
    Release = 18,
    Fsync = 20,
    Setxattr = 21,
    Getxattr = 22,
    Listxattr = 23,
    Removexattr = 24,
    Flush = 25,
    Init = 26,
    Opendir = 27,
    Readdir = 28,
    Releasedir = 29,
    Fsyncdir = 30,
    Access = 34,
    Create = 35,
    Interrupt = 36,
    Destroy = 38,
    Ioctl = 39,
    BatchForget = 42,
    Fallocate = 43,
    Readdirplus = 44,
    Rename2 = 45,
    Lseek = 46,
    CopyFileRange = 47,
    Syncfs = 50,
    Tmpfile = 51,  // 7.37, Linux 6.1

    // Ours, from the agent to the file server; none is answered.
    InjectorReady = 0x7f000001,  // Body: InjectorReadyBody.
    InjectionDone = 0x7f000002,  // Body: InjectionDoneBody.
};

// From the file server, in OutHeader::error of a message whose `unique` is 0.
enum class Notify : std::int32_t {
    InvalInode = 2,
    InvalEntry = 3,
    Resend = 7,    // 7.40, Linux 6.9: the kernel asks anew what was read and not answered.
    IncEpoch = 8,  // 7.44, Linux 6.16: every name is asked anew.

    // Ours: the agent performs it in the mount. Body: InjectBody, then `pathBytes` and
    // `newPathBytes`.
    Inject = 0x1000,

    // Ours: what the agent is to answer for us if the kernel asks it. Body: AheadBody, then a name
    // of `nameBytes`, then the answer's data.
    Ahead = 0x1001,
};
inline constexpr std::uint32_t kMinorWithIncEpoch = 44;

// A request that comes once more, because its answer was lost, has this bit in `unique`
// (FUSE_UNIQUE_RESEND, Linux 6.9). The relay sets it too in what it sends again by itself.
inline constexpr std::uint64_t kResentBit = 1ULL << 63;

enum InitFlag : std::uint64_t {
    AsyncRead = 1ULL << 0,
    BigWrites = 1ULL << 5,
    DontMask = 1ULL << 6,
    DoReaddirplus = 1ULL << 13,
    AsyncDio = 1ULL << 15,
    NoOpenSupport = 1ULL << 17,
    ParallelDirops = 1ULL << 18,
    MaxPages = 1ULL << 22,
    CacheSymlinks = 1ULL << 23,
    NoOpendirSupport = 1ULL << 24,
    HandleKillprivV2 = 1ULL << 28,
    InitExt = 1ULL << 30,
    HasExpireOnly = 1ULL << 35,
};

enum SetattrValid : std::uint32_t {
    SetMode = 1 << 0,
    SetUid = 1 << 1,
    SetGid = 1 << 2,
    SetSize = 1 << 3,
    SetAtime = 1 << 4,
    SetMtime = 1 << 5,
    SetAtimeNow = 1 << 7,
    SetMtimeNow = 1 << 8,
    KillSuidgid = 1 << 11,
};

inline constexpr std::uint32_t kWriteKillSuidgid = 1 << 2;
inline constexpr std::uint32_t kFsyncDataOnly = 1 << 0;
inline constexpr std::uint32_t kExpireOnly = 1 << 0;
inline constexpr std::uint32_t kOpenKeepCache = 1 << 1;
inline constexpr std::uint32_t kOpenNoFlush = 1 << 5;

// Open flags as Linux has them, <asm-generic/fcntl.h>.
inline constexpr std::uint32_t kOpenExclusive = 0200;

// File types and special bits as Linux has them, <linux/stat.h>.
inline constexpr std::uint32_t kTypeMask = 0170000;
inline constexpr std::uint32_t kTypeSocket = 0140000;
inline constexpr std::uint32_t kTypeSymlink = 0120000;
inline constexpr std::uint32_t kTypeRegular = 0100000;
inline constexpr std::uint32_t kTypeBlock = 0060000;
inline constexpr std::uint32_t kTypeDirectory = 0040000;
inline constexpr std::uint32_t kTypeCharacter = 0020000;
inline constexpr std::uint32_t kTypeFifo = 0010000;
inline constexpr std::uint32_t kSetUid = 04000;
inline constexpr std::uint32_t kSetGid = 02000;
inline constexpr std::uint32_t kGroupExecute = 010;
inline constexpr std::uint32_t kPermissionMask = 07777;

struct InHeader {  // fuse_in_header
    std::uint32_t len;
    Opcode opcode;
    std::uint64_t unique;
    std::uint64_t nodeid;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint32_t pid;  // The *thread's* id.
    std::uint16_t totalExtlen;
    std::uint16_t padding;
};

struct OutHeader {  // fuse_out_header
    std::uint32_t len;
    std::int32_t error;  // 0 or a negative error number; a Notify where `unique` is 0.
    std::uint64_t unique;
};

struct Attr {  // fuse_attr
    std::uint64_t ino, size, blocks;
    std::uint64_t atime, mtime, ctime;
    std::uint32_t atimensec, mtimensec, ctimensec;
    std::uint32_t mode, nlink, uid, gid, rdev, blksize, flags;
};

struct EntryOut {  // fuse_entry_out
    std::uint64_t nodeid, generation, entryValid, attrValid;
    std::uint32_t entryValidNsec, attrValidNsec;
    Attr attr;
};

struct AttrOut {  // fuse_attr_out
    std::uint64_t attrValid;
    std::uint32_t attrValidNsec, dummy;
    Attr attr;
};

struct InitIn {  // fuse_init_in; kernels before 7.36 end it after `flags`.
    std::uint32_t major, minor, maxReadahead, flags;
    std::uint32_t flags2;
    std::uint32_t unused[11];
};
inline constexpr std::size_t kShortInitInBytes = 16;

struct InitOut {  // fuse_init_out
    std::uint32_t major, minor, maxReadahead, flags;
    std::uint16_t maxBackground, congestionThreshold;
    std::uint32_t maxWrite, timeGran;
    std::uint16_t maxPages, mapAlignment;
    std::uint32_t flags2;
    std::uint32_t unused[7];
};

struct ForgetIn {  // fuse_forget_in
    std::uint64_t nlookup;
};
struct ForgetOne {  // fuse_forget_one
    std::uint64_t nodeid, nlookup;
};
struct BatchForgetIn {  // fuse_batch_forget_in
    std::uint32_t count, dummy;
};
struct SetattrIn {  // fuse_setattr_in
    std::uint32_t valid, padding;
    std::uint64_t fh, size, lockOwner;
    std::uint64_t atime, mtime, ctime;
    std::uint32_t atimensec, mtimensec, ctimensec;
    std::uint32_t mode, unused4, uid, gid, unused5;
};
struct MknodIn {  // fuse_mknod_in
    std::uint32_t mode, rdev, umask, padding;
};
struct MkdirIn {  // fuse_mkdir_in
    std::uint32_t mode, umask;
};
struct RenameIn {  // fuse_rename_in
    std::uint64_t newdir;
};
struct Rename2In {  // fuse_rename2_in
    std::uint64_t newdir;
    std::uint32_t flags, padding;
};
struct LinkIn {  // fuse_link_in
    std::uint64_t oldnodeid;
};
struct CreateIn {  // fuse_create_in
    std::uint32_t flags, mode, umask, openFlags;
};
struct OpenOut {  // fuse_open_out
    std::uint64_t fh;
    std::uint32_t openFlags, padding;
};
struct ReadIn {  // fuse_read_in, also READDIR's
    std::uint64_t fh, offset;
    std::uint32_t size, readFlags;
    std::uint64_t lockOwner;
    std::uint32_t flags, padding;
};
struct WriteIn {  // fuse_write_in
    std::uint64_t fh, offset;
    std::uint32_t size, writeFlags;
    std::uint64_t lockOwner;
    std::uint32_t flags, padding;
};
struct WriteOut {  // fuse_write_out
    std::uint32_t size, padding;
};
struct StatfsOut {  // fuse_statfs_out
    std::uint64_t blocks, bfree, bavail, files, ffree;
    std::uint32_t bsize, namelen, frsize, padding, spare[6];
};
struct FsyncIn {  // fuse_fsync_in
    std::uint64_t fh;
    std::uint32_t fsyncFlags, padding;
};
struct SetxattrIn {  // fuse_setxattr_in without FUSE_SETXATTR_EXT
    std::uint32_t size, flags;
};
struct GetxattrIn {  // fuse_getxattr_in
    std::uint32_t size, padding;
};
struct GetxattrOut {  // fuse_getxattr_out
    std::uint32_t size, padding;
};
struct FallocateIn {  // fuse_fallocate_in
    std::uint64_t fh, offset, length;
    std::uint32_t mode, padding;
};
struct LseekIn {  // fuse_lseek_in
    std::uint64_t fh, offset;
    std::uint32_t whence, padding;
};
struct LseekOut {  // fuse_lseek_out
    std::uint64_t offset;
};
struct Dirent {  // fuse_dirent; the name follows, padded to 8 bytes.
    std::uint64_t ino, off;
    std::uint32_t namelen, type;
};
struct Direntplus {  // fuse_direntplus
    EntryOut entry;
    Dirent dirent;
};
struct NotifyInvalInode {  // fuse_notify_inval_inode_out; off -1: attributes only.
    std::uint64_t ino;
    std::int64_t off, len;
};
struct NotifyInvalEntry {  // fuse_notify_inval_entry_out; the name and a zero follow.
    std::uint64_t parent;
    std::uint32_t namelen, flags;
};

// --- Ours.

struct InjectorReadyBody {
    std::uint32_t pid;  // As the kernel puts it into InHeader::pid; 0: the injector has ended.
    std::uint32_t padding;
};

enum class Injection : std::uint32_t { Create = 1, Delete, Modify, Attrib, Rename };

// The injector makes its requests as root with this group, so that the server knows them for what
// they are even when they come too late: nothing of them may ever reach the disk. Low, as a
// rootless machine has no more than 65,536 groups.
inline constexpr std::uint32_t kInjectorGid = 64999;

// What to do in the mount so that the kernel raises the real inotify event. The file server knows
// the injector's requests and answers them without touching the disk. Paths are relative to the
// mount, without a leading slash.
struct InjectBody {
    std::uint64_t sequence;
    Injection what;
    std::uint32_t mode;  // Type and permissions of the file.
    std::uint32_t pathBytes;
    std::uint32_t newPathBytes;  // Of a rename, else 0.
};

struct InjectionDoneBody {
    std::uint64_t sequence;
    std::int32_t error;  // 0 or the error number the call failed with.
    std::uint32_t padding;
};

// An answer to a question that the kernel has not asked. It is about a node: the folder of a
// listing, the file that an entry leads to. Attributes take the place of all that was told about
// their node before, and become those of the entries that lead to it. All that was told about a
// node is void when it is taken back or its attributes are invalidated, an entry also when its name
// is, and everything when the stream ends.
struct AheadBody {
    std::uint64_t node;       // As the question names it.
    Opcode question;          // Getattr; Lookup, once; Readdir, a whole folder's, whose names are
                              // given with the entries that were told; Readdirplus, once; Read, of
                              // a whole file; Opcode{}: take all back.
    std::uint32_t nameBytes;  // Of a Lookup.
    std::uint64_t offset;     // Of a Readdirplus: the end of the listing, so its data is empty.
};

static_assert(sizeof(InHeader) == 40 && sizeof(OutHeader) == 16);
static_assert(sizeof(Attr) == 88 && sizeof(EntryOut) == 128 && sizeof(AttrOut) == 104);
static_assert(sizeof(InitIn) == 64 && sizeof(InitOut) == 64);
static_assert(sizeof(ForgetIn) == 8 && sizeof(ForgetOne) == 16 && sizeof(BatchForgetIn) == 8);
static_assert(sizeof(SetattrIn) == 88 && sizeof(MknodIn) == 16 && sizeof(MkdirIn) == 8);
static_assert(sizeof(RenameIn) == 8 && sizeof(Rename2In) == 16 && sizeof(LinkIn) == 8);
static_assert(sizeof(CreateIn) == 16 && sizeof(OpenOut) == 16);
static_assert(sizeof(ReadIn) == 40 && sizeof(WriteIn) == 40 && sizeof(WriteOut) == 8);
static_assert(sizeof(StatfsOut) == 80 && sizeof(FsyncIn) == 16);
static_assert(sizeof(SetxattrIn) == 8 && sizeof(GetxattrIn) == 8 && sizeof(GetxattrOut) == 8);
static_assert(sizeof(FallocateIn) == 32 && sizeof(LseekIn) == 24 && sizeof(LseekOut) == 8);
static_assert(sizeof(Dirent) == 24 && sizeof(Direntplus) == 152);
static_assert(sizeof(NotifyInvalInode) == 24 && sizeof(NotifyInvalEntry) == 16);
static_assert(sizeof(InjectorReadyBody) == 8 && sizeof(InjectBody) == 24);
static_assert(sizeof(InjectionDoneBody) == 16 && sizeof(AheadBody) == 24);

constexpr std::size_t padded(std::size_t bytes)
{
    return (bytes + 7) & ~std::size_t{7};
}

// A request that the kernel expects no answer to.
constexpr bool isOneWay(Opcode opcode)
{
    return opcode == Opcode::Forget || opcode == Opcode::BatchForget || opcode == Opcode::Interrupt;
}

}  // namespace slipway::fuse
