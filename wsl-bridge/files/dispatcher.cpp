#include "wsl-bridge/files/dispatcher.h"

#include <algorithm>

#include "shared/core/log.h"
#include "shared/fuse/fixed_answers.h"

namespace slipway {

using fuse::Opcode;

namespace {

// What we use where the guest's kernel has it. Left off on purpose: WRITEBACK_CACHE (the kernel
// would never again accept the host's sizes and times), the lock flags (locks that the kernel keeps
// are right between containers and outlive us), ATOMIC_O_TRUNC (there is no open to truncate at),
// EXPLICIT_INVAL_DATA (an answer with a new size would leave the zeros behind the old end in the
// guest's last page until our invalidation comes: `tail -f` read them), AUTO_INVAL_DATA (every
// write of the guest's own would cost it its pages).
constexpr std::uint64_t kWanted =
    fuse::AsyncRead | fuse::BigWrites | fuse::DontMask | fuse::DoReaddirplus | fuse::AsyncDio |
    fuse::NoOpenSupport | fuse::ParallelDirops | fuse::MaxPages | fuse::CacheSymlinks |
    fuse::NoOpendirSupport | fuse::HandleKillprivV2 | fuse::InitExt | fuse::HasExpireOnly;
constexpr std::uint16_t kMaxBackground = 64;
constexpr std::uint32_t kMaxReadahead = 4u << 20;
constexpr int kStaleRetries = 3;
constexpr std::uint32_t kMinMinor = 31;  // Linux 5.4; zero-message OPENDIR came with 5.1.

}  // namespace

fuse::Attr attrOf(const FileFacts& facts)
{
    fuse::Attr attr{};
    attr.ino = facts.identity.inode;
    attr.size = facts.size;
    attr.blocks = facts.blocks;
    attr.atime = static_cast<std::uint64_t>(facts.accessed.seconds);
    attr.mtime = static_cast<std::uint64_t>(facts.modified.seconds);
    attr.ctime = static_cast<std::uint64_t>(facts.changed.seconds);
    attr.atimensec = facts.accessed.nanoseconds;
    attr.mtimensec = facts.modified.nanoseconds;
    attr.ctimensec = facts.changed.nanoseconds;
    attr.mode = facts.mode;
    attr.nlink = facts.links;
    attr.uid = facts.uid;
    attr.gid = facts.gid;
    attr.rdev = facts.deviceNumber;
    attr.blksize = fuse::kPageBytes;
    return attr;
}

void Dispatcher::Call::reply(fuse::Bytes data) const
{
    fuse::OutHeader out{static_cast<std::uint32_t>(sizeof out + data.size()), 0, header.unique};
    std::array parts{std::as_bytes(std::span(&out, 1)), data};
    stream.write(parts);
}

void Dispatcher::Call::replyFromPipe() const
{
    fuse::OutHeader out{static_cast<std::uint32_t>(sizeof out + room.pipe->size()), 0,
                        header.unique};
    stream.write(std::as_bytes(std::span(&out, 1)), *room.pipe);
    room.pipe->clear();  // Where the stream has ended.
}

void Dispatcher::Call::error(Errno error) const
{
    fuse::OutHeader out{sizeof out, -static_cast<std::int32_t>(error), header.unique};
    stream.write(std::as_bytes(std::span(&out, 1)));
}

NewFile Dispatcher::Call::newFile(std::uint32_t mode, std::uint32_t umask) const
{
    NewFile file;
    file.mode = mode;
    file.umask = umask;
    file.uid = header.uid;
    file.gid = header.gid;
    return file;
}

void Dispatcher::handle(fuse::Bytes message, Room& room, fuse::MessageStream& stream)
{
    auto request = fuse::parseRequest(message);
    if (!request) return;
    ++m_served;
    const auto& header = request->header;
    switch (header.opcode) {
        case Opcode::Forget: {
            fuse::Body body(request->body);
            auto in = body.take<fuse::ForgetIn>();
            if (body.good()) forget(header.nodeid, in.nlookup);
            return;
        }
        case Opcode::Interrupt:
            return;  // Every call ends by itself.
        default:
            break;
    }
    Call call{header,
              fuse::Body(request->body),
              room,
              stream,
              (header.unique & fuse::kResentBit) != 0,
              header.unique & ~fuse::kResentBit};
    if (header.opcode == Opcode::BatchForget) return batchForget(call);
    if (header.opcode == Opcode::InjectorReady) {
        auto in = call.body.take<fuse::InjectorReadyBody>();
        if (call.body.good()) m_outbox.injectorIs(in.pid);
        return;
    }
    if (header.opcode == Opcode::InjectionDone) {
        auto in = call.body.take<fuse::InjectionDoneBody>();
        if (call.body.good()) m_outbox.injectionDone(in.sequence);
        return;
    }
    if (routeInjected(call)) return;
    auto outcome = route(call);
    // The host may have moved the file, and the event that says where to is on its way.
    for (int i = 0; i < kStaleRetries && !outcome && outcome.error() == Errno::Stale; ++i) {
        m_coherence.settle();
        call.body = fuse::Body(request->body);
        outcome = route(call);
    }
    if (!outcome) call.error(outcome.error());
}

Dispatcher::Outcome Dispatcher::route(Call& call)
{
    if (auto fixed = fuse::fixedAnswer({call.header, call.body.rest()})) {
        call.error(*fixed);
        return {};
    }
    switch (call.header.opcode) {
        case Opcode::Init:
            return init(call);
        case Opcode::Lookup:
            return lookup(call);
        case Opcode::Getattr:
            return getattr(call);
        case Opcode::Setattr:
            return setattr(call);
        case Opcode::Readlink:
            return readlink(call);
        case Opcode::Symlink:
        case Opcode::Mknod:
        case Opcode::Mkdir:
            return make(call);
        case Opcode::Unlink:
            return remove(call, false);
        case Opcode::Rmdir:
            return remove(call, true);
        case Opcode::Rename:
            return rename(call, false);
        case Opcode::Rename2:
            return rename(call, true);
        case Opcode::Link:
            return link(call);
        case Opcode::Read:
            return read(call);
        case Opcode::Write:
            return write(call);
        case Opcode::Statfs:
            return statfs(call);
        case Opcode::Fsync:
            return sync(call);
        case Opcode::Fsyncdir:
            return sync(call);
        case Opcode::Setxattr:
            return setxattr(call);
        case Opcode::Getxattr:
            return getxattr(call, false);
        case Opcode::Listxattr:
            return getxattr(call, true);
        case Opcode::Removexattr:
            return removexattr(call);
        case Opcode::Readdir:
            return readdir(call, false);
        case Opcode::Readdirplus:
            return readdir(call, true);
        case Opcode::Create:
            return create(call);
        case Opcode::Tmpfile:
            return createUnnamed(call);
        case Opcode::Fallocate:
            return allocate(call);
        case Opcode::Lseek:
            return seek(call);
        case Opcode::Destroy:
            call.reply();
            return {};
        // OPEN and OPENDIR: zero-message opens. FLUSH, ACCESS: nothing to do, as there are no open
        // files and the kernel checks permissions. COPY_FILE_RANGE: the kernel then copies by
        // itself. And all that we do not know. The kernel asks none of them twice.
        default:
            return refuse(Errno::NotImplemented);
    }
}

Dispatcher::Outcome Dispatcher::init(Call& call)
{
    fuse::InitIn in{};
    auto given = call.body.data(std::min(call.body.left(), sizeof in));
    if (given.size() < fuse::kShortInitInBytes) return refuse(Errno::Invalid);
    std::memcpy(&in, given.data(), given.size());
    if (in.major != fuse::kMajor || in.minor < kMinMinor) {
        log::error(
            "files: the machine's kernel speaks FUSE {}.{}; {}.{} (Linux 5.4) or newer is needed",
            in.major, in.minor, fuse::kMajor, kMinMinor);
        return refuse(Errno::NotSupported);
    }
    std::uint64_t offered = in.flags;
    if (offered & fuse::InitExt) offered |= static_cast<std::uint64_t>(in.flags2) << 32;
    std::uint64_t agreed = offered & kWanted;
    {
        std::lock_guard lock(m_share.mutex);
        bool first = m_share.session.minor == 0;
        // A new mount: the ids of the one before mean nothing to it.
        if (!call.resent || first) m_coherence.forgetAll();
        m_share.session = {in.minor, agreed};
        m_share.store.setSession(m_share.session);
    }
    fuse::InitOut out{};
    out.major = fuse::kMajor;
    out.minor = std::min(in.minor, fuse::kMinor);
    out.maxReadahead = kMaxReadahead;
    out.flags = static_cast<std::uint32_t>(agreed);
    out.flags2 = static_cast<std::uint32_t>(agreed >> 32);
    out.maxBackground = kMaxBackground;
    out.congestionThreshold = kMaxBackground * 3 / 4;
    out.maxWrite = fuse::kMaxDataBytes;
    out.timeGran = 1;
    out.maxPages = fuse::kMaxPages;
    call.replyValue(out);
    return {};
}

void Dispatcher::forget(std::uint64_t node, std::uint64_t count)
{
    std::lock_guard lock(m_share.mutex);
    m_coherence.forget(node, count);
}

void Dispatcher::batchForget(Call& call)
{
    auto in = call.body.take<fuse::BatchForgetIn>();
    for (std::uint32_t i = 0; i < in.count; ++i) {
        auto one = call.body.take<fuse::ForgetOne>();
        if (!call.body.good()) return;
        forget(one.nodeid, one.nlookup);
    }
}

FuseResult<Node*> Dispatcher::nodeOf(std::uint64_t id)
{
    Node* node = m_share.nodes.find(id);
    if (!node) return refuse(Errno::Stale);
    return node;
}

fuse::AttrOut Dispatcher::attributesOf(Node& node, const FileFacts& facts)
{
    m_coherence.told(node, facts);
    fuse::AttrOut out{};
    out.attrValid = m_coherence.attributeSeconds(node, facts);
    out.attr = attrOf(facts);
    return out;
}

fuse::EntryOut Dispatcher::fillEntry(Node& node, const FileFacts& facts, const Node& parent)
{
    m_coherence.told(node, facts);
    m_share.nodes.countLookup(node);
    // A watch in a container makes no request in the folder it watches: be ready as soon as it is
    // known.
    if (node.isDirectory() || node.anchor()) m_coherence.watch(node);
    fuse::EntryOut out{};
    out.nodeid = node.id;
    out.entryValid = m_coherence.entrySeconds(parent);
    out.attrValid = m_coherence.attributeSeconds(node, facts);
    out.attr = attrOf(facts);
    return out;
}

}  // namespace slipway
