// The injector's own requests: answered so that the guest's kernel raises the event, without a hand
// on the disk. Nothing here may be remembered by the kernel, so every answer is valid for no time
// at all.
#include "wsl-bridge/files/dispatcher.h"

#include "shared/core/error.h"

namespace slipway {

using fuse::Injection;
using fuse::Opcode;

namespace {

bool changesNothing(Opcode opcode)
{
    switch (opcode) {
        case Opcode::Lookup:
        case Opcode::Getattr:
        case Opcode::Readlink:
        case Opcode::Open:
        case Opcode::Opendir:
        case Opcode::Flush:
        case Opcode::Getxattr:
        case Opcode::Access:
        case Opcode::Statfs:
            return true;
        default:
            return false;
    }
}

}  // namespace

bool Dispatcher::routeInjected(Call& call)
{
    if (call.header.uid != 0 || call.header.gid != fuse::kInjectorGid) return false;
    if (auto order = m_outbox.current(call.header.pid); order && answerInjected(call, *order))
        return true;
    if (changesNothing(call.header.opcode)) return false;
    // Too late, or not what was asked for: an event is lost, and no file.
    call.error(Errno::NotPermitted);
    return true;
}

bool Dispatcher::answerInjected(Call& call, const InjectionOrder& order)
{
    bool isTarget = order.directory == call.header.nodeid;
    switch (call.header.opcode) {
        case Opcode::Lookup:
            return lookupInjected(call, order);
        case Opcode::Getattr: {  // Of a folder on the way that has gone, to walk over it.
            std::lock_guard lock(m_share.mutex);
            Node* node = m_share.nodes.find(call.header.nodeid);
            if (!node || factsOf(*node)) return false;
            fuse::AttrOut out{};
            out.attr = attrOf(lastFactsOf(*node));
            call.replyValue(out);
            return true;
        }
        case Opcode::Mknod:
        case Opcode::Mkdir:
        case Opcode::Symlink:
            return order.what == Injection::Create && isTarget && makeInjected(call, order);
        case Opcode::Unlink:
        case Opcode::Rmdir:
            if (order.what != Injection::Delete || !isTarget) return false;
            finishInjected(call, order.nameAsked);
            return true;
        case Opcode::Rename:
        case Opcode::Rename2:
            if (order.what != Injection::Rename || !isTarget) return false;
            finishInjected(call, order.nameAsked && order.newNameAsked);
            return true;
        case Opcode::Setattr: {
            if (order.what != Injection::Modify && order.what != Injection::Attrib) return false;
            fuse::AttrOut out{};
            std::lock_guard lock(m_share.mutex);
            Node* node = m_share.nodes.find(call.header.nodeid);
            if (!node || node != m_share.nodes.childOf(order.directory, order.name)) return false;
            auto facts = factsOf(*node);
            if (!facts) return false;
            out.attr = attrOf(*facts);
            call.replyValue(out);
            return true;
        }
        default:
            return false;
    }
}

// If somebody else has asked for the name since it was expired, the kernel need not have asked us,
// and takes what lives there now for what is gone: a new folder would be a dead one from then on.
// It asks after this error (Linux, fs/namei.c, retry_estale).
void Dispatcher::finishInjected(const Call& call, bool wasAsked)
{
    if (wasAsked)
        call.reply();
    else
        call.error(Errno::Stale);
}

void Dispatcher::replyGone(const Call& call, std::uint32_t mode)
{
    std::lock_guard lock(m_share.mutex);
    Node& node = m_share.nodes.adoptGone(mode);
    m_share.nodes.countLookup(node);
    fuse::EntryOut out{};
    out.nodeid = node.id;
    out.attr.ino = node.id;
    out.attr.mode = mode;
    out.attr.nlink = 1;
    call.replyValue(out);
}

bool Dispatcher::lookupInjected(Call& call, const InjectionOrder& order)
{
    auto name = call.body.name();
    if (!call.body.good()) return false;
    bool isSource = call.header.nodeid == order.directory && name == order.name;
    bool isTarget = order.what == Injection::Rename && call.header.nodeid == order.newDirectory &&
                    name == order.newName;
    bool isAboutContents = order.what == Injection::Modify || order.what == Injection::Attrib;
    if (isAboutContents || (!isSource && !isTarget)) {
        if (!isSource && !isTarget && lookupOnTheWay(call, order, name)) return true;
        call.body = fuse::Body(std::as_bytes(std::span(name.data(), name.size() + 1)));
        return false;
    }
    m_outbox.injectorAsked(call.header.pid, isTarget);
    // A file that a rename replaced must be seen there, so that its watchers hear of its end.
    std::uint64_t wanted = isTarget ? order.replaced : order.node;
    bool expectsNothing = order.what == Injection::Create || (isTarget && order.replaced == 0);
    if (expectsNothing) {
        call.error(Errno::NoEntry);
        return true;
    }
    if (!replyKnown(call, wanted)) replyGone(call, order.mode);
    return true;
}

// A folder on the way that has gone since, as after rm -r: whoever watches it is to hear of what
// was in it.
bool Dispatcher::lookupOnTheWay(Call& call, const InjectionOrder& order, std::string_view name)
{
    for (const auto& step : order.way) {
        if (step.folder != call.header.nodeid || step.name != name) continue;
        auto where = at(step.folder, name);
        if (where && m_share.tree.factsOfChild(*where->directory, name)) return false;
        return replyKnown(call, step.node);
    }
    return false;
}

// False: the guest does not know it.
bool Dispatcher::replyKnown(const Call& call, std::uint64_t id)
{
    std::lock_guard lock(m_share.mutex);
    Node* node = m_share.nodes.find(id);
    if (!node || node->lookups == 0) return false;
    m_share.nodes.countLookup(*node);
    fuse::EntryOut out{};
    out.nodeid = node->id;
    out.attr = attrOf(lastFactsOf(*node));
    call.replyValue(out);
    return true;
}

FileFacts Dispatcher::lastFactsOf(Node& node)
{
    if (auto facts = factsOf(node)) return *facts;
    FileFacts facts;
    facts.identity = node.identity;
    facts.mode = node.mode;
    facts.links = 1;
    return facts;
}

bool Dispatcher::makeInjected(Call& call, const InjectionOrder& order)
{
    auto where = at(order.directory, order.name);
    auto entry = where ? entryOf(*where) : FuseResult<fuse::EntryOut>(refuse(where.error()));
    // The kernel refuses an answer of another type than it asked for.
    bool sameType = entry && (entry->attr.mode & fuse::kTypeMask) == (order.mode & fuse::kTypeMask);
    if (entry && !sameType) forget(entry->nodeid, 1);
    if (!sameType) {
        replyGone(call, order.mode);
        return true;
    }
    entry->entryValid = 0;
    entry->attrValid = 0;
    call.replyValue(*entry);
    return true;
}

}  // namespace slipway
