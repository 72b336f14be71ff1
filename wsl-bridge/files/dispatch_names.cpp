// The requests that find, make, remove and move names.
#include "wsl-bridge/files/dispatcher.h"

#include <tuple>

#include "shared/core/error.h"

namespace slipway {

using fuse::Opcode;
using What = HostEvent::What;

// While it lives, the events of a folder's files wait: what we make there is not in the table yet.
class Dispatcher::NameChange {
public:
    NameChange(Dispatcher& dispatcher, std::uint64_t directory)
        : m_dispatcher(dispatcher), m_directory(directory)
    {
        std::lock_guard lock(m_dispatcher.m_share.mutex);
        Node* node = m_dispatcher.m_share.nodes.find(directory);
        if (node) m_dispatcher.m_coherence.beginNames(*node);
    }
    ~NameChange()
    {
        std::lock_guard lock(m_dispatcher.m_share.mutex);
        m_dispatcher.m_coherence.endNames(m_directory);
    }
    NameChange(const NameChange&) = delete;
    NameChange& operator=(const NameChange&) = delete;

private:
    Dispatcher& m_dispatcher;
    const std::uint64_t m_directory;
};

namespace {

struct CreateOut {
    fuse::EntryOut entry;
    fuse::OpenOut open;
};

CreateOut createOutOf(const fuse::EntryOut& entry)
{
    return {entry, {0, fuse::kOpenKeepCache | fuse::kOpenNoFlush, 0}};
}

}  // namespace

FuseResult<Dispatcher::At> Dispatcher::at(std::uint64_t parent, std::string_view name)
{
    std::lock_guard lock(m_share.mutex);
    TRY(Node * node, nodeOf(parent));
    if (node->isVirtual) return refuse(Errno::Access);  // Nothing can be made beside a grant.
    if (!node->isDirectory()) return refuse(Errno::NotDirectory);
    TRY(auto directory, m_share.nodes.handleOf(*node));
    m_coherence.watch(*node);
    return At{parent, std::move(directory), std::string(name)};
}

Identity Dispatcher::identityAt(const At& where) const
{
    auto facts = m_share.tree.factsOfChild(*where.directory, where.name);
    return facts ? facts->identity : Identity{};
}

FuseResult<fuse::EntryOut> Dispatcher::entryOf(const At& where)
{
    auto round = m_coherence.round();
    TRY(auto facts, m_share.tree.factsOfChild(*where.directory, where.name));
    std::lock_guard lock(m_share.mutex);
    // The event of a change since then may have been dealt with before the node was known.
    if (m_coherence.round() != round) {
        TRY(facts, m_share.tree.factsOfChild(*where.directory, where.name));
    }
    TRY(Node * parent, nodeOf(where.parent));
    Node& node = m_share.nodes.adopt(*parent, where.name, facts);
    return fillEntry(node, facts, *parent);
}

Dispatcher::Outcome Dispatcher::lookup(Call& call)
{
    auto name = call.body.name();
    if (!call.body.good()) return refuse(call.body.error());
    {
        std::lock_guard lock(m_share.mutex);
        TRY(Node * parent, nodeOf(call.header.nodeid));
        if (parent->isVirtual) return lookupVirtual(call, name);
    }
    TRY(auto where, at(call.header.nodeid, name));
    auto entry = entryOf(where);
    if (!entry && entry.error() == Errno::NoEntry) {
        fuse::EntryOut absent{};  // Node 0: there is none, and this may be remembered.
        {
            std::lock_guard lock(m_share.mutex);
            TRY(Node * parent, nodeOf(call.header.nodeid));
            absent.entryValid = m_coherence.absenceSeconds(*parent);
        }
        call.replyValue(absent);
        return {};
    }
    if (!entry) return refuse(entry.error());
    bool moreLikely = nameAsked(call, where);
    call.replyValue(*entry);
    if (moreLikely) namesSwept(call, where.parent);
    return {};
}

Dispatcher::Outcome Dispatcher::lookupVirtual(Call& call, std::string_view name)
{
    TRY(Node * parent, nodeOf(call.header.nodeid));
    auto above = m_share.nodes.pathOf(*parent);
    if (!above) return refuse(Errno::Stale);
    std::string path = *above + "/" + std::string(name);
    auto cover = m_share.grants.coverOf(path);
    if (cover == Grants::Cover::None) return refuse(Errno::NoEntry);
    fuse::EntryOut entry{};
    if (cover == Grants::Cover::Ancestor) {
        Node& node = m_share.nodes.adoptVirtual(*parent, name);
        TRY(auto facts, factsOf(node));
        entry = fillEntry(node, facts, *parent);
    } else {
        TRY(auto anchor, m_share.tree.open(path));
        TRY(auto facts, m_share.tree.facts(*anchor));
        Node& node = m_share.nodes.adopt(*parent, name, facts);
        if (!node.anchor()) node.setAnchor(std::move(anchor));
        entry = fillEntry(node, facts, *parent);
        // Nobody hears of it if another takes its place, and the next to mount it must get that
        // one.
        entry.entryValid = 0;
    }
    call.replyValue(entry);
    return {};
}

Dispatcher::Outcome Dispatcher::once(Call& call, const Identity& before,
                                     const std::function<Outcome()>& act,
                                     const std::function<bool()>& alreadyDone)
{
    if (call.resent) {
        if (auto intent = m_share.intents.find(call.unique)) {
            if (intent->finished && intent->error != 0)
                return refuse(static_cast<Errno>(intent->error));
            if (intent->finished || alreadyDone()) return {};
        }
    }
    m_share.intents.begin(call.unique, before);
    auto outcome = act();
    m_share.intents.finish(call.unique, outcome ? 0 : static_cast<int>(outcome.error()));
    return outcome;
}

Dispatcher::Outcome Dispatcher::makeOnce(Call& call, const At& where,
                                         const std::function<Outcome()>& act)
{
    auto alreadyDone = [&] {
        // Begun where nothing stood: what stands there now is what we made.
        auto intent = m_share.intents.find(call.unique);
        return intent && intent->before == Identity{} && identityAt(where) != Identity{};
    };
    return once(
        call, identityAt(where),
        [&]() -> Outcome {
            {
                std::lock_guard lock(m_share.mutex);
                TRY(Node * parent, nodeOf(where.parent));
                m_coherence.expect(*parent, where.name, What::Created);
            }
            auto outcome = act();
            if (!outcome) {
                std::lock_guard lock(m_share.mutex);
                m_coherence.unexpect(where.parent, where.name, What::Created);
            }
            return outcome;
        },
        alreadyDone);
}

Dispatcher::Outcome Dispatcher::make(Call& call)
{
    NewFile what;
    std::string_view target;
    std::string_view name;
    if (call.header.opcode == Opcode::Mknod) {
        auto in = call.body.take<fuse::MknodIn>();
        what = call.newFile(in.mode, in.umask);
        what.deviceNumber = in.rdev;
        name = call.body.name();
    } else if (call.header.opcode == Opcode::Mkdir) {
        auto in = call.body.take<fuse::MkdirIn>();
        what = call.newFile(fuse::kTypeDirectory | (in.mode & fuse::kPermissionMask), in.umask);
        name = call.body.name();
    } else {
        what = call.newFile(fuse::kTypeSymlink | 0777, 0);
        name = call.body.name();
        target = call.body.text();
    }
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto where, at(call.header.nodeid, name));
    auto make = [&]() -> Outcome {
        switch (what.mode & fuse::kTypeMask) {
            case fuse::kTypeDirectory:
                return m_share.tree.makeDirectory(*where.directory, name, what);
            case fuse::kTypeSymlink:
                return m_share.tree.makeSymlink(*where.directory, name, target, what);
            case fuse::kTypeRegular:
            case 0:
                what.mode |= fuse::kTypeRegular;
                TRY_VOID(m_share.tree.makeRegular(*where.directory, name, what));
                return {};
            default:
                return m_share.tree.makeSpecial(*where.directory, name, what);
        }
    };
    NameChange change(*this, where.parent);
    TRY_VOID(makeOnce(call, where, make));
    TRY(auto entry, entryOf(where));
    nodeChanged(call, where.parent, 1);
    call.replyValue(entry);
    return {};
}

Dispatcher::Outcome Dispatcher::create(Call& call)
{
    auto in = call.body.take<fuse::CreateIn>();
    auto name = call.body.name();
    if (!call.body.good()) return refuse(call.body.error());
    auto what = call.newFile(fuse::kTypeRegular | (in.mode & fuse::kPermissionMask), in.umask);
    TRY(auto where, at(call.header.nodeid, name));
    NameChange change(*this, where.parent);
    HandlePtr data;
    auto made = makeOnce(call, where, [&]() -> Outcome {
        TRY(data, m_share.tree.makeRegular(*where.directory, name, what));
        return {};
    });
    // Somebody on the host was faster, which is all right unless the guest wants to be the first.
    bool isThere = !made && made.error() == Errno::Exists && !(in.flags & fuse::kOpenExclusive);
    if (!made && !isThere) return made;
    TRY(auto entry, entryOf(where));
    if ((entry.attr.mode & fuse::kTypeMask) != fuse::kTypeRegular) {
        forget(entry.nodeid, 1);
        return refuse(Errno::Exists);
    }
    if (data) {
        std::lock_guard lock(m_share.mutex);
        Node* node = m_share.nodes.find(entry.nodeid);
        auto facts = m_share.tree.facts(*data);
        if (node && facts && facts->identity == node->identity)
            m_share.nodes.keepData(*node, std::move(data));
    }
    nodeChanged(call, where.parent, 1);
    call.replyValue(createOutOf(entry));
    return {};
}

// O_TMPFILE. There is nothing to do once only: with the server that made it the file is gone.
Dispatcher::Outcome Dispatcher::createUnnamed(Call& call)
{
    auto in = call.body.take<fuse::CreateIn>();
    if (!call.body.good()) return refuse(call.body.error());
    auto what = call.newFile(fuse::kTypeRegular | (in.mode & fuse::kPermissionMask), in.umask);
    TRY(auto where, at(call.header.nodeid, {}));
    TRY(auto data, m_share.tree.makeUnnamed(*where.directory, what));
    TRY(auto facts, m_share.tree.facts(*data));
    fuse::EntryOut entry{};
    {
        std::lock_guard lock(m_share.mutex);
        TRY(Node * parent, nodeOf(where.parent));
        entry = fillEntry(m_share.nodes.adoptUnnamed(facts, std::move(data)), facts, *parent);
    }
    call.replyValue(createOutOf(entry));
    return {};
}

Dispatcher::Outcome Dispatcher::link(Call& call)
{
    auto in = call.body.take<fuse::LinkIn>();
    auto name = call.body.name();
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto file, begin(in.oldnodeid, false));
    auto linked = [&]() -> Outcome {
        TRY(auto where, at(call.header.nodeid, name));
        TRY_VOID(makeOnce(call, where,
                          [&] { return m_share.tree.makeLink(*file, *where.directory, name); }));
        TRY(auto entry, entryOf(where));
        {
            std::lock_guard lock(m_share.mutex);  // One that had no name has one now.
            if (Node* node = m_share.nodes.find(entry.nodeid)) {
                m_share.nodes.unpin(*node);
                takeBack(call, *node);
            }
        }
        nodeChanged(call, where.parent);
        call.replyValue(entry);
        return {};
    }();
    end(in.oldnodeid);
    return linked;
}

Dispatcher::Outcome Dispatcher::remove(Call& call, bool isDirectory)
{
    auto name = call.body.name();
    if (!call.body.good()) return refuse(call.body.error());
    TRY(auto where, at(call.header.nodeid, name));
    Identity victim = identityAt(where);
    auto alreadyDone = [&] {
        auto intent = m_share.intents.find(call.unique);
        return intent && intent->before != victim;
    };
    auto act = [&]() -> Outcome {
        {
            std::lock_guard lock(m_share.mutex);
            TRY(Node * parent, nodeOf(where.parent));
            Node* known = m_share.nodes.childOf(where.parent, name);
            if (known) m_share.nodes.pin(*known);
            m_coherence.expect(*parent, name, What::Deleted);
        }
        auto outcome = isDirectory ? m_share.tree.removeDirectory(*where.directory, name)
                                   : m_share.tree.removeFile(*where.directory, name);
        if (!outcome) {
            std::lock_guard lock(m_share.mutex);
            m_coherence.unexpect(where.parent, name, What::Deleted);
            if (Node* known = m_share.nodes.childOf(where.parent, name))
                m_share.nodes.unpin(*known);
        }
        return outcome;
    };
    TRY_VOID(once(call, victim, act, alreadyDone));
    {
        std::lock_guard lock(m_share.mutex);
        Node* gone = m_share.nodes.childOf(where.parent, name);
        // Host programs may have put another file there meanwhile.
        if (gone && gone->identity == victim) {
            takeBack(call, *gone);
            m_coherence.nameRemoved(where.parent, name);
        }
    }
    nodeChanged(call, where.parent);
    call.reply();
    return {};
}

Dispatcher::Outcome Dispatcher::rename(Call& call, bool hasFlags)
{
    constexpr std::uint32_t kExchange = 2;
    constexpr std::uint32_t kWhiteout = 4;
    fuse::Rename2In in{};
    if (hasFlags) {
        in = call.body.take<fuse::Rename2In>();
    } else {
        in.newdir = call.body.take<fuse::RenameIn>().newdir;
    }
    auto name = call.body.name();
    auto newName = call.body.name();
    if (!call.body.good()) return refuse(call.body.error());
    if (in.flags & kWhiteout) return refuse(Errno::Invalid);
    bool exchange = (in.flags & kExchange) != 0;
    TRY(auto from, at(call.header.nodeid, name));
    TRY(auto to, at(in.newdir, newName));
    Identity moved = identityAt(from);
    Identity replaced = identityAt(to);

    // One event for each name that goes and each that comes; both names do both in an exchange.
    std::vector<std::tuple<const At*, What>> events{{&from, What::MovedFrom}, {&to, What::MovedTo}};
    if (exchange) events.insert(events.end(), {{&to, What::MovedFrom}, {&from, What::MovedTo}});
    auto alreadyDone = [&] {
        auto intent = m_share.intents.find(call.unique);
        return intent && intent->before != moved && intent->before == replaced;
    };
    auto act = [&]() -> Outcome {
        {
            std::lock_guard lock(m_share.mutex);
            if (Node* known = m_share.nodes.childOf(to.parent, newName); known && !exchange)
                m_share.nodes.pin(*known);
            for (auto [where, what] : events) {
                TRY(Node * parent, nodeOf(where->parent));
                m_coherence.expect(*parent, where->name, what);
            }
        }
        auto outcome = m_share.tree.rename(*from.directory, name, *to.directory, newName, in.flags);
        // Two names of one file: nothing happens, and nothing is heard of it.
        if (!outcome || (moved == replaced && !exchange)) {
            std::lock_guard lock(m_share.mutex);
            for (auto [where, what] : events)
                m_coherence.unexpect(where->parent, where->name, what);
            if (Node* known = m_share.nodes.childOf(to.parent, newName))
                m_share.nodes.unpin(*known);
        }
        return outcome;
    };
    TRY_VOID(once(call, moved, act, alreadyDone));
    if (moved != replaced || exchange) {
        std::lock_guard lock(m_share.mutex);
        for (const At* where : {&from, &to})
            if (Node* node = m_share.nodes.childOf(where->parent, where->name))
                takeBack(call, *node);
        m_coherence.nameMoved({from.parent, from.name}, {to.parent, to.name}, exchange);
    }
    nodeChanged(call, from.parent);
    if (to.parent != from.parent) nodeChanged(call, to.parent);
    call.reply();
    return {};
}

}  // namespace slipway
