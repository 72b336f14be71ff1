// Answers ahead: what the guest's kernel is about to ask because of the answer in hand.
//
// Theory of operation. A change to a folder's names, and every read, leave the kernel without
// attributes that it had: the next name that is checked in that folder, or the next stat() of that
// file, is a GETATTR. Its answer goes out in front of the answer that makes it necessary, and the
// agent gives it, without a way to us. So that the agent never answers with what was:
//   - Every change of ours to a node is followed, in front of its answer, by the new attributes, or
//     by a word that takes the old ones back. Share::mutex is held from looking at the file to
//     queueing what is told of it, so the last word is about the last state. While somebody else's
//     change is under way on the node, the word is to take back.
//   - A change by the host's own programs comes as an invalidation, and the agent then forgets the
//     node's attributes as the kernel does.
// `toldAhead` may be true where the agent has forgotten since; never the other way round.
#include "wsl-bridge/files/dispatcher.h"

namespace slipway {
namespace {

struct AheadMessage {
    fuse::OutHeader header{sizeof(AheadMessage), static_cast<std::int32_t>(fuse::Notify::Ahead), 0};
    fuse::AheadBody body{0, fuse::Opcode::Getattr, 0};
    fuse::AttrOut attributes{};
};

struct TakeBackMessage {
    fuse::OutHeader header{sizeof(TakeBackMessage), static_cast<std::int32_t>(fuse::Notify::Ahead),
                           0};
    fuse::AheadBody body{0, fuse::Opcode::Getattr, 0};
};

}  // namespace

void Dispatcher::agentIsNew()
{
    std::lock_guard lock(m_share.mutex);
    m_share.nodes.forEach([](Node& node) { node.toldAhead = false; });
}

void Dispatcher::tellAhead(Call& call, Node& node, int ownChanges)
{
    if (node.isVirtual || node.lookups == 0) return;
    auto facts = node.ownChanges > ownChanges ? refuse(Errno::Stale) : factsOf(node);
    if (!facts) return takeBack(call, node);
    AheadMessage message;
    message.body.node = node.id;
    message.attributes = attributesOf(node, *facts);
    call.stream.writeAhead(std::as_bytes(std::span(&message, 1)));
    node.toldAhead = true;
}

void Dispatcher::takeBack(Call& call, Node& node)
{
    if (!std::exchange(node.toldAhead, false)) return;
    TakeBackMessage message;
    message.body.node = node.id;
    call.stream.writeAhead(std::as_bytes(std::span(&message, 1)));
}

void Dispatcher::nodeChanged(Call& call, std::uint64_t id)
{
    std::lock_guard lock(m_share.mutex);
    if (Node* node = m_share.nodes.find(id)) tellAhead(call, *node, 0);
}

void Dispatcher::namesChanged(Call& call, std::uint64_t directory, int ownChanges)
{
    std::lock_guard lock(m_share.mutex);
    if (Node* node = m_share.nodes.find(directory)) tellAhead(call, *node, ownChanges);
}

// Its time of access has changed, if anything: once is enough until something else does.
void Dispatcher::nodeRead(Call& call)
{
    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.find(call.header.nodeid);
    if (node && !node->toldAhead) tellAhead(call, *node, 0);
}

}  // namespace slipway
