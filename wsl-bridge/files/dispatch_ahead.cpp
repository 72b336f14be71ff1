// Answers ahead: what the guest's kernel is about to ask because of the answer in hand.
//
// Theory of operation. The agent is told an answer in front of the one in hand, and gives it
// without a way to us if the kernel asks:
// - Attributes. A change to a folder's names, and every read, take the kernel's: the next name that
//   is checked in that folder, or the next stat() of that file, is a GETATTR.
// - The end of a listing, which the kernel learns by asking for more.
// - The entries beside a name that is looked up, where more than one is: a tool that knows the
//   names (git with its index, a compiler with its includes) asks for each.
// - The contents of small files: those beside one that is read, where more than one is, and from
//   then on with the listings of some more folders, as a search reads one after the other.
// So that the agent never answers with what was:
// - Every change of ours to a node is followed, in front of its answer, by the new attributes, or
//   by a word that takes back what was told. Share::mutex is held from looking at the file to
//   queueing what is told of it, so the last word is about the last state. While somebody else's
//   change is under way on the node, the word is to take back.
// - A change by the host's own programs comes as an invalidation, and the agent then forgets what
//   the kernel forgets. Where not every change is heard of, nothing is told ahead.
// `Node::toldAhead` may be true where the agent has forgotten since; never the other way round. The
// agent forgets (FORGET) the entries that nobody asked for.
#include "wsl-bridge/files/dispatcher.h"

#include <chrono>

#include "shared/core/error.h"

namespace slipway {
namespace {

constexpr std::uint32_t kNamesAskedFirst = 2;   // The second name asked for brings the others.
constexpr std::uint32_t kNamesAskedEvery = 64;  // And again, as some are new or were forgotten.
constexpr std::size_t kMaxListed = 256;
constexpr std::size_t kMaxEntries = 64;
constexpr std::uint32_t kFilesReadFirst = 2;   // The second file read brings the others,
constexpr std::uint32_t kFilesReadEvery = 64;  // every so often again,
constexpr int kListingsWithContents = 16;      // and as many folders theirs.
constexpr std::size_t kMaxFiles = 64;          // Of a folder at a time.
constexpr std::size_t kMaxFolderBytes = 256 * 1024;
constexpr std::uint64_t kMaxFileBytes = 32 * 1024;
constexpr std::chrono::milliseconds kTimeGrain{20};

template <class T>
fuse::Bytes bytesOfValue(const T& value)
{
    return std::as_bytes(std::span(&value, 1));
}

void tell(fuse::MessageStream& stream, const fuse::AheadBody& body, std::string_view name = {},
          fuse::Bytes data = {})
{
    fuse::OutHeader header{
        static_cast<std::uint32_t>(sizeof header + sizeof body + name.size() + data.size()),
        static_cast<std::int32_t>(fuse::Notify::Ahead), 0};
    stream.writeAhead(
        std::array{bytesOfValue(header), bytesOfValue(body), std::as_bytes(std::span(name)), data});
}

// Whether a change from now on will show in its times, which may be no finer than the kernel's
// tick.
bool isAtRest(const FileFacts& facts)
{
    using namespace std::chrono;
    auto changed = seconds(facts.changed.seconds) + nanoseconds(facts.changed.nanoseconds);
    return system_clock::now().time_since_epoch() - changed > kTimeGrain;
}

bool hasSameContents(const FileFacts& one, const FileFacts& other)
{
    return one.identity == other.identity && one.size == other.size &&
           one.modified == other.modified && one.changed == other.changed;
}

bool mayTellContents(const Node& node)
{
    return node.isRegular() && node.lookups > 0 && node.ownChanges == 0 &&
           !node.contentsToldAhead && node.seenSize > 0 && node.seenSize <= kMaxFileBytes;
}

}  // namespace

void Dispatcher::agentIsNew()
{
    std::lock_guard lock(m_share.mutex);
    m_share.nodes.forEach([](Node& node) { node.toldAhead = node.contentsToldAhead = false; });
}

void Dispatcher::attributesAhead(Call& call, Node& node, int ownChanges)
{
    if (node.isVirtual || node.lookups == 0) return;
    auto facts = node.ownChanges > ownChanges ? refuse(Errno::Stale) : factsOf(node);
    if (!facts) return takeBack(call, node);
    auto attributes = attributesOf(node, *facts);
    if (attributes.attrValid != Coherence::kForever) return takeBack(call, node);
    tell(call.stream, {node.id, fuse::Opcode::Getattr, 0, 0}, {}, bytesOfValue(attributes));
    node.toldAhead = true;
}

void Dispatcher::takeBack(Call& call, Node& node)
{
    if (!std::exchange(node.toldAhead, false)) return;
    tell(call.stream, {node.id, fuse::Opcode{}, 0, 0});
}

void Dispatcher::nodeChanged(Call& call, std::uint64_t id, int ownChanges)
{
    std::lock_guard lock(m_share.mutex);
    if (Node* node = m_share.nodes.find(id)) attributesAhead(call, *node, ownChanges);
}

// Its time of access has changed, if anything: once is enough until something else does.
void Dispatcher::nodeRead(Call& call)
{
    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.find(call.header.nodeid);
    if (node && !node->toldAhead) attributesAhead(call, *node, 0);
}

void Dispatcher::listingEnds(Call& call, std::uint64_t offset)
{
    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.find(call.header.nodeid);
    if (!node || node->ownChanges > 0 || m_coherence.entrySeconds(*node) != Coherence::kForever)
        return;
    tell(call.stream, {node->id, fuse::Opcode::Readdirplus, 0, offset});
    node->toldAhead = true;
}

void Dispatcher::nameAsked(Call& call, const At& where)
{
    {
        std::lock_guard lock(m_share.mutex);
        Node* parent = m_share.nodes.find(where.parent);
        if (!parent || m_coherence.entrySeconds(*parent) != Coherence::kForever) return;
        if (++parent->namesAsked % kNamesAskedEvery != kNamesAskedFirst) return;
    }
    std::size_t listed = 0;
    std::size_t told = 0;
    // What goes wrong here goes wrong again, and is said, when it is asked for.
    std::ignore = m_share.tree.list(*where.directory, 0, [&](const DirectoryEntry& entry) {
        if (entry.isDot() || entry.name == where.name) return true;
        told += entryAhead(call, {where.parent, where.directory, std::string(entry.name)});
        return ++listed < kMaxListed && told < kMaxEntries;
    });
}

// Unless the guest knows it, or is about to be told.
bool Dispatcher::entryAhead(Call& call, const At& where)
{
    auto isKnown = [&] {
        Node* node = m_share.nodes.childOf(where.parent, where.name);
        return node && (node->lookups > 0 || node->ownChanges > 0);
    };
    std::unique_lock lock(m_share.mutex);
    if (isKnown()) return false;
    lock.unlock();
    auto round = m_coherence.round();
    auto facts = m_share.tree.factsOfChild(*where.directory, where.name);
    lock.lock();
    Node* parent = m_share.nodes.find(where.parent);
    bool isTrue = facts && m_coherence.round() == round && parent && parent->ownChanges == 0;
    if (!isTrue || isKnown()) return false;
    Node& node = m_share.nodes.adopt(*parent, where.name, *facts);
    if (node.ownChanges > 0) return false;
    fuse::EntryOut entry = fillEntry(node, *facts, *parent);
    if (entry.attrValid != Coherence::kForever) {
        m_coherence.forget(node.id, 1);
        return false;
    }
    tell(call.stream,
         {parent->id, fuse::Opcode::Lookup, static_cast<std::uint32_t>(where.name.size()), 0},
         where.name, bytesOfValue(entry));
    node.toldAhead = true;
    return true;
}

// From its beginning. This and the next are called behind the answer: who asked goes on meanwhile.
void Dispatcher::fileRead(Call& call)
{
    std::uint64_t folder = 0;
    {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(call.header.nodeid);
        if (!node || node->names.empty()) return;
        node->contentsToldAhead = false;
        Node* parent = m_share.nodes.find(node->names.front().parent);
        if (!parent || ++parent->filesRead % kFilesReadEvery != kFilesReadFirst) return;
        folder = parent->id;
    }
    m_listingsWithContents = kListingsWithContents;
    contentsAhead(call, folder);
}

void Dispatcher::folderListed(Call& call)
{
    if (m_listingsWithContents > 0 && m_listingsWithContents-- > 0)
        contentsAhead(call, call.header.nodeid);
}

void Dispatcher::contentsAhead(Call& call, std::uint64_t folder)
{
    HandlePtr directory;
    std::vector<std::pair<std::string, std::uint32_t>> files;
    {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(folder);
        if (!node || m_coherence.entrySeconds(*node) != Coherence::kForever) return;
        auto handle = m_share.nodes.handleOf(*node);
        if (!handle) return;
        directory = *handle;
        m_share.nodes.forEachChild(folder, [&](const std::string& name, const Node& child) {
            if (files.size() < kMaxFiles && child.id != call.header.nodeid &&
                mayTellContents(child))
                files.emplace_back(name, child.ownChangesBegun);
        });
    }
    std::size_t bytes = 0;
    for (const auto& [name, changesBegun] : files) {
        if (bytes >= kMaxFolderBytes) break;
        bytes += contentsAhead(call, {folder, directory, name}, changesBegun);
    }
    call.stream.flush();
}

// How many bytes; 0 where the file is not, or may not be, what it was when its changes were
// counted.
std::size_t Dispatcher::contentsAhead(Call& call, const At& where, std::uint32_t changesBegun)
{
    auto file = m_share.tree.openChild(*where.directory, where.name);
    if (!file) return 0;
    auto before = m_share.tree.facts(**file);
    bool isSmall = before && (before->mode & fuse::kTypeMask) == fuse::kTypeRegular &&
                   before->size <= kMaxFileBytes;
    if (!isSmall || !isAtRest(*before)) return 0;
    auto contents = m_share.tree.peek(**file, before->size);
    if (!contents || contents->size() != before->size) return 0;

    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.childOf(where.parent, where.name);
    bool isUntouched = node && node->identity == before->identity && mayTellContents(*node) &&
                       node->ownChangesBegun == changesBegun;
    if (!isUntouched) return 0;
    auto facts = m_share.tree.facts(**file);
    if (!facts || !hasSameContents(*facts, *before)) return 0;
    auto attributes = attributesOf(*node, *facts);
    if (attributes.attrValid != Coherence::kForever) return 0;
    tell(call.stream, {node->id, fuse::Opcode::Getattr, 0, 0}, {}, bytesOfValue(attributes));
    tell(call.stream, {node->id, fuse::Opcode::Read, 0, 0}, {}, *contents);
    node->toldAhead = node->contentsToldAhead = true;
    return contents->size();
}

}  // namespace slipway
