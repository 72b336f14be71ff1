// Answers ahead: what the guest's kernel is about to ask because of the answer in hand.
//
// Theory of operation. The agent is told an answer in front of the one in hand, and gives it
// without a way to us if the kernel asks:
// - Attributes. A change to a folder's names, and every read, take the kernel's: the next name that
//   is checked in that folder, or the next stat() of that file, is a GETATTR.
// - The end of a listing, which the kernel learns by asking for more.
// - The entries beside a name that is looked up, where more than one is: a tool that knows the
//   names (git with its index, a compiler with its includes) asks for each.
// - What a sweep over a tree comes to next: see dispatch_sweeps.cpp.
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

#include "shared/core/error.h"
#include "wsl-bridge/files/tell_ahead.h"

namespace slipway {
namespace {

constexpr std::uint32_t kNamesAskedFirst = 2;   // The second name asked for brings the others.
constexpr std::uint32_t kNamesAskedEvery = 64;  // And again, as some are new or were forgotten.
constexpr std::size_t kMaxListed = 256;
constexpr std::size_t kMaxEntries = 64;
}  // namespace

void Dispatcher::agentIsNew()
{
    std::lock_guard lock(m_share.mutex);
    m_share.nodes.forEach(
        [](Node& node) { node.toldAhead = node.contentsToldAhead = node.wasListed = false; });
}

void Dispatcher::attributesAhead(Call& call, Node& node, int ownChanges)
{
    if (node.isVirtual || node.lookups == 0) return;
    auto facts = node.ownChanges > ownChanges ? refuse(Errno::Stale) : factsOf(node);
    if (!facts) return takeBack(call, node);
    auto attributes = attributesOf(node, *facts);
    if (attributes.attrValid != Coherence::kForever) return takeBack(call, node);
    tellAhead(call.stream, {node.id, fuse::Opcode::Getattr, 0, 0}, {}, bytesOfValue(attributes));
    node.toldAhead = true;
}

void Dispatcher::takeBack(Call& call, Node& node)
{
    if (!std::exchange(node.toldAhead, false)) return;
    tellAhead(call.stream, {node.id, fuse::Opcode{}, 0, 0});
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
    tellAhead(call.stream, {node->id, fuse::Opcode::Readdirplus, 0, offset});
    node->toldAhead = true;
}

// Whether it was one of more than one.
bool Dispatcher::nameAsked(Call& call, const At& where)
{
    {
        std::lock_guard lock(m_share.mutex);
        Node* parent = m_share.nodes.find(where.parent);
        if (!parent || m_coherence.entrySeconds(*parent) != Coherence::kForever) return false;
        if (parent->countNameAsked() % kNamesAskedEvery != kNamesAskedFirst) return false;
    }
    std::size_t listed = 0;
    std::size_t told = 0;
    // What goes wrong here goes wrong again, and is said, when it is asked for.
    std::ignore = m_share.tree.list(*where.directory, 0, [&](const DirectoryEntry& entry) {
        if (entry.isDot() || entry.name == where.name) return true;
        told += entryAhead(call, {where.parent, where.directory, std::string(entry.name)});
        return ++listed < kMaxListed && told < kMaxEntries;
    });
    return true;
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
    tellAhead(call.stream,
              {parent->id, fuse::Opcode::Lookup, static_cast<std::uint32_t>(where.name.size()), 0},
              where.name, bytesOfValue(entry));
    node.toldAhead = true;
    return true;
}

}  // namespace slipway
