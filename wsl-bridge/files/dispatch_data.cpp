// The requests about one file: its attributes, its contents, a folder's listing.
#include "wsl-bridge/files/dispatcher.h"

#include <algorithm>
#include <cstring>

#include "shared/core/error.h"
#include "wsl-bridge/files/listing.h"

namespace slipway {
namespace {

constexpr FileChanges kDropSetIds{.dropSetIds = true};

}  // namespace

FuseResult<HandlePtr> Dispatcher::handleOf(std::uint64_t id)
{
    std::lock_guard lock(m_share.mutex);
    TRY(Node * node, nodeOf(id));
    return m_share.nodes.handleOf(*node);
}

FuseResult<HandlePtr> Dispatcher::dataOf(std::uint64_t id, bool forWriting)
{
    std::lock_guard lock(m_share.mutex);
    TRY(Node * node, nodeOf(id));
    return m_share.nodes.dataOf(*node, forWriting);
}

FuseResult<HandlePtr> Dispatcher::begin(std::uint64_t id, bool data)
{
    std::lock_guard lock(m_share.mutex);
    TRY(Node * node, nodeOf(id));
    TRY(auto handle, data ? m_share.nodes.dataOf(*node, true) : m_share.nodes.handleOf(*node));
    m_coherence.beginChange(*node);
    return handle;
}

void Dispatcher::end(std::uint64_t id)
{
    std::lock_guard lock(m_share.mutex);
    m_coherence.endChange(id);
}

Dispatcher::Outcome Dispatcher::getattr(Call& call)
{
    fuse::AttrOut out{};
    {
        std::lock_guard lock(m_share.mutex);
        TRY(Node * node, nodeOf(call.header.nodeid));
        TRY(auto facts, factsOf(*node));
        out = attributesOf(*node, facts);
        if (node->toldAhead) attributesAhead(call, *node, 0);  // It has forgotten, or has what was.
    }
    call.replyValue(out);
    return {};
}

Dispatcher::Outcome Dispatcher::setattr(Call& call)
{
    auto in = call.body.take<fuse::SetattrIn>();
    if (!call.body.good()) return refuse(call.body.error());
    FileChanges changes;
    if (in.valid & fuse::SetMode) changes.mode = in.mode;
    if (in.valid & fuse::SetUid) changes.uid = in.uid;
    if (in.valid & fuse::SetGid) changes.gid = in.gid;
    if (in.valid & fuse::SetSize) changes.size = in.size;
    changes.accessedNow = (in.valid & fuse::SetAtimeNow) != 0;
    changes.modifiedNow = (in.valid & fuse::SetMtimeNow) != 0;
    if (in.valid & fuse::SetAtime)
        changes.accessed = FileTime{static_cast<std::int64_t>(in.atime), in.atimensec};
    if (in.valid & fuse::SetMtime)
        changes.modified = FileTime{static_cast<std::int64_t>(in.mtime), in.mtimensec};
    changes.dropSetIds = (in.valid & fuse::KillSuidgid) != 0;

    {
        std::lock_guard lock(m_share.mutex);
        TRY(Node * node, nodeOf(call.header.nodeid));
        if (node->isVirtual) return refuse(Errno::NotPermitted);
    }
    TRY(auto file, begin(call.header.nodeid, false));
    auto changed = m_share.tree.change(*file, changes);
    end(call.header.nodeid);
    if (!changed) return changed;
    return getattr(call);
}

Dispatcher::Outcome Dispatcher::readlink(Call& call)
{
    TRY(auto link, handleOf(call.header.nodeid));
    TRY(auto target, m_share.tree.readLink(*link));
    nodeRead(call);
    call.reply(std::as_bytes(std::span(target)));
    return {};
}

Dispatcher::Outcome Dispatcher::read(Call& call)
{
    auto in = call.body.take<fuse::ReadIn>();
    if (!call.body.good() || in.size > fuse::kMaxDataBytes) return refuse(Errno::Invalid);
    TRY(auto data, dataOf(call.header.nodeid, false));
    if (readByPipe(call, *data, in)) return {};
    auto& bytes = call.room.bytes;
    if (bytes.size() < in.size) bytes.resize(in.size);
    TRY(auto count, m_share.tree.read(*data, in.offset, std::span(bytes).first(in.size)));
    nodeRead(call);
    call.reply(std::span(bytes).first(count));
    if (in.offset == 0) fileRead(call);
    return {};
}

// What is large, and lies in whole pages.
bool Dispatcher::readByPipe(Call& call, const Handle& data, const fuse::ReadIn& in)
{
    constexpr std::uint32_t kLarge = 64 * 1024;
    if (!call.room.pipe || in.size < kLarge || in.offset % fuse::kPageBytes != 0) return false;
    if (!m_share.tree.read(data, in.offset, in.size, *call.room.pipe)) return false;
    nodeRead(call);
    call.replyFromPipe();
    return true;
}

Dispatcher::Outcome Dispatcher::write(Call& call)
{
    auto in = call.body.take<fuse::WriteIn>();
    auto bytes = call.body.data(in.size);
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto data, begin(call.header.nodeid, true));
    auto count = m_share.tree.write(*data, in.offset, bytes);
    if (count && (in.writeFlags & fuse::kWriteKillSuidgid)) {
        if (auto dropped = m_share.tree.change(*data, kDropSetIds); !dropped)
            count = refuse(dropped.error());
    }
    end(call.header.nodeid);
    if (!count) return refuse(count.error());
    nodeChanged(call, call.header.nodeid);
    call.replyValue(fuse::WriteOut{static_cast<std::uint32_t>(*count), 0});
    return {};
}

Dispatcher::Outcome Dispatcher::allocate(Call& call)
{
    auto in = call.body.take<fuse::FallocateIn>();
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto data, begin(call.header.nodeid, true));
    auto done = m_share.tree.allocate(*data, in.mode, in.offset, in.length);
    // Here the kernel leaves it to us (FUSE_HANDLE_KILLPRIV_V2), and says not who may keep them.
    if (done && call.header.uid != 0) done = m_share.tree.change(*data, kDropSetIds);
    end(call.header.nodeid);
    nodeChanged(call, call.header.nodeid);
    if (done) call.reply();
    return done;
}

Dispatcher::Outcome Dispatcher::seek(Call& call)
{
    auto in = call.body.take<fuse::LseekIn>();
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto data, dataOf(call.header.nodeid, false));
    TRY(auto offset, m_share.tree.seek(*data, in.offset, in.whence));
    call.replyValue(fuse::LseekOut{offset});
    return {};
}

Dispatcher::Outcome Dispatcher::sync(Call& call)
{
    auto in = call.body.take<fuse::FsyncIn>();
    if (!call.body.good()) return refuse(call.body.error());
    if (call.header.opcode == fuse::Opcode::Fsyncdir) {
        TRY(auto directory, handleOf(call.header.nodeid));
        TRY_VOID(m_share.tree.syncDirectory(*directory));
    } else {
        // A file that could only be opened for reading has nothing of ours that is not written.
        TRY(auto data, dataOf(call.header.nodeid, false));
        TRY_VOID(m_share.tree.sync(*data, (in.fsyncFlags & fuse::kFsyncDataOnly) != 0));
    }
    call.reply();
    return {};
}

Dispatcher::Outcome Dispatcher::statfs(Call& call)
{
    auto file = handleOf(call.header.nodeid);
    if (!file) file = m_share.tree.open("/");  // An ancestor of grants.
    if (!file) return refuse(file.error());
    TRY(auto volume, m_share.tree.volume(**file));
    fuse::StatfsOut out{};
    out.blocks = volume.blocks;
    out.bfree = volume.blocksFree;
    out.bavail = volume.blocksAvailable;
    out.files = volume.files;
    out.ffree = volume.filesFree;
    out.bsize = volume.blockBytes;
    out.frsize = volume.fragmentBytes;
    out.namelen = volume.maxNameBytes;
    call.replyValue(out);
    return {};
}

Dispatcher::Outcome Dispatcher::readdir(Call& call, bool plus)
{
    auto in = call.body.take<fuse::ReadIn>();
    if (!call.body.good()) return refuse(call.body.error());
    HandlePtr directory;
    {
        std::lock_guard lock(m_share.mutex);
        TRY(Node * node, nodeOf(call.header.nodeid));
        if (!node->isDirectory()) return refuse(Errno::NotDirectory);
        if (node->isVirtual) return readdirVirtual(call, in, plus);
        TRY(directory, m_share.nodes.handleOf(*node));
        m_coherence.watch(*node);
    }
    Listing listing(call.room.bytes, std::min(in.size, fuse::kMaxDataBytes), plus);
    std::uint64_t end = in.offset;
    bool whole = true;
    TRY_VOID(m_share.tree.list(*directory, in.offset, [&](const DirectoryEntry& entry) {
        whole = listing.fits(entry.name);
        if (!whole) return false;
        end = entry.cursor;
        fuse::EntryOut known{};  // Node 0: nothing is told but the name.
        if (plus && !entry.isDot()) {
            if (auto found = entryOf({call.header.nodeid, directory, std::string(entry.name)}))
                known = *found;
        }
        listing.add(entry, known);
        return true;
    }));
    nodeRead(call);
    if (plus && whole && end != in.offset) listingEnds(call, end);
    call.reply(listing.bytes());
    if (plus && in.offset == 0) folderListed(call);
    return {};
}

Dispatcher::Outcome Dispatcher::readdirVirtual(Call& call, const fuse::ReadIn& in, bool plus)
{
    TRY(Node * node, nodeOf(call.header.nodeid));
    auto path = m_share.nodes.pathOf(*node);
    if (!path) return refuse(Errno::Stale);
    std::vector<std::string> names = m_share.grants.childrenOf(*path);
    names.insert(names.begin(), {".", ".."});
    Listing listing(call.room.bytes, std::min(in.size, fuse::kMaxDataBytes), plus);
    for (std::uint64_t i = in.offset; i < names.size() && listing.fits(names[i]); ++i) {
        DirectoryEntry entry;
        entry.name = names[i];
        entry.inode = node->id;  // Any but 0; what it really is is asked when it is used.
        entry.cursor = i + 1;
        listing.add(entry, {});
    }
    call.reply(listing.bytes());
    return {};
}

Dispatcher::Outcome Dispatcher::setxattr(Call& call)
{
    auto in = call.body.take<fuse::SetxattrIn>();
    auto name = call.body.text();
    auto value = call.body.data(in.size);
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto file, begin(call.header.nodeid, false));
    auto done = m_share.tree.setAttribute(*file, name, value, in.flags);
    end(call.header.nodeid);
    nodeChanged(call, call.header.nodeid);
    if (done) call.reply();
    return done;
}

Dispatcher::Outcome Dispatcher::getxattr(Call& call, bool names)
{
    auto in = call.body.take<fuse::GetxattrIn>();
    std::string_view name = names ? std::string_view() : call.body.text();
    if (!call.body.good()) return refuse(call.body.error());
    auto file = handleOf(call.header.nodeid);
    if (!file) return refuse(names ? Errno::NotSupported : file.error());
    TRY(auto value,
        names ? m_share.tree.attributeNames(**file) : m_share.tree.attribute(**file, name));
    if (in.size == 0) {  // Asks how much room it needs.
        call.replyValue(fuse::GetxattrOut{static_cast<std::uint32_t>(value.size()), 0});
        return {};
    }
    if (value.size() > in.size) return refuse(Errno::Range);
    call.reply(std::as_bytes(std::span(value)));
    return {};
}

Dispatcher::Outcome Dispatcher::removexattr(Call& call)
{
    auto name = call.body.text();
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto file, begin(call.header.nodeid, false));
    auto done = m_share.tree.removeAttribute(*file, name);
    end(call.header.nodeid);
    nodeChanged(call, call.header.nodeid);
    if (done) call.reply();
    return done;
}

}  // namespace slipway
