#include "wsl-bridge/files/coherence.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "shared/core/log.h"
#include "shared/fuse/wire.h"

namespace slipway {
namespace {

// Seconds; the kernel cuts it to what it can count.
constexpr std::uint64_t kUnwatched = 1;
// How long a MovedFrom waits for its MovedTo; they are queued together.
constexpr std::chrono::milliseconds kPair{5};
constexpr std::chrono::milliseconds kMaxOwnChange{200};

}  // namespace

Coherence::Coherence(Share& share, Outbox& outbox, std::unique_ptr<HostWatcher> watcher)
    : m_share(share), m_outbox(outbox), m_watcher(std::move(watcher)), m_thread([this] { run(); })
{
}

Coherence::~Coherence()
{
    {
        std::lock_guard lock(m_share.mutex);
        m_stopping = true;
    }
    m_changeEnded.notify_all();
    m_roundEnded.notify_all();
    m_watcher->wake();
    m_thread.join();
}

void Coherence::settle()
{
    std::unique_lock lock(m_share.mutex);
    // The round under way may have read its events before; the one after it has all.
    auto enough = m_rounds + 2;
    while (!m_stopping && (m_rounds < enough || m_move)) {
        if (!m_move) m_watcher->wake();
        m_roundEnded.wait(lock);
    }
}

void Coherence::watch(Node& node)
{
    if (node.watch() >= 0 || node.isVirtual) return;
    auto handle = m_share.nodes.handleOf(node);
    if (!handle) return;
    auto watch = m_watcher->add(**handle, node.isDirectory());
    if (watch) return m_share.nodes.setWatch(node, *watch);
    if (watch.error() == Errno::NoSpace && !m_warned) {
        m_warned = true;
        log::warn(
            "files: the host allows no more watches, so containers see changes up to {} s late: "
            "raise fs.inotify.max_user_watches",
            kUnwatched);
    }
}

void Coherence::watchAll()
{
    m_share.nodes.forEach([this](Node& node) {
        if (node.lookups > 0 && (node.isDirectory() || node.anchor())) watch(node);
    });
}

std::uint64_t Coherence::entrySeconds(const Node& parent) const
{
    // Without EXPIRE_ONLY a name could only be thrown out, with all mounts below it.
    return parent.watch() >= 0 && (m_share.session.flags & fuse::HasExpireOnly) ? kForever
                                                                                : kUnwatched;
}

std::uint64_t Coherence::absenceSeconds(const Node& parent) const
{
    // A name that is not there leaves no node, so after a restart only IncEpoch reaches it. An
    // ancestor of grants gains names without any event.
    if (parent.isVirtual) return 0;
    bool reachable = m_share.session.minor >= fuse::kMinorWithIncEpoch;
    return reachable ? entrySeconds(parent) : kUnwatched;
}

std::uint64_t Coherence::attributeSeconds(Node& node, const FileFacts& facts)
{
    if (node.isVirtual) return kUnwatched;
    // A write through another name raises no event in the folder of this one.
    if (node.isRegular() && facts.links > 1) watch(node);
    if (node.watch() >= 0) return kForever;
    if (facts.links > 1 || node.isDirectory() || !node.names()) return kUnwatched;
    Node* parent = m_share.nodes.parentOf(node);
    return parent && parent->watch() >= 0 ? kForever : kUnwatched;
}

void Coherence::told(Node& node, const FileFacts& facts)
{
    if (node.isVirtual || node.ownChanges > 0) return;
    bool changed = node.hasSeen && !node.hasSizeAndTimeAsSeen(facts);
    if (node.isRegular() && node.lookups > 0 && changed) m_outbox.inode(node.id, true);
    if (node.hasSeen && !node.isAsSeen(facts)) node.toldEarly = true;
    node.see(facts);
}

void Coherence::tellAll(Outbox& outbox)
{
    if (m_share.session.minor >= fuse::kMinorWithIncEpoch) outbox.epoch();
    m_share.nodes.forEach([&](Node& node) {
        outbox.inode(node.id, true);
        if (!(m_share.session.flags & fuse::HasExpireOnly)) return;
        for (const auto* name = node.names(); name; name = name->next.get())
            outbox.entry(name->parent, name->name);
    });
}

void Coherence::expect(const Node& directory, std::string_view name, What what)
{
    if (directory.watch() >= 0) ++m_expected[{directory.id, std::string(name), what}];
}

bool Coherence::takeExpected(std::uint64_t directory, std::string_view name, What what)
{
    auto found = m_expected.find({directory, std::string(name), what});
    if (found == m_expected.end()) return false;
    if (--found->second == 0) m_expected.erase(found);
    return true;
}

void Coherence::unexpect(std::uint64_t directory, std::string_view name, What what)
{
    if (takeExpected(directory, name, what)) return;
    Node* node = m_share.nodes.find(directory);
    if (!node || node->watch() < 0) return;
    m_outbox.entry(directory, name);
    m_outbox.inode(directory, true);
}

void Coherence::nameRemoved(std::uint64_t directory, std::string_view name)
{
    Node* node = m_share.nodes.dropName(directory, name);
    if (!node) return;
    m_share.nodes.unpin(*node);  // It may have other names.
    node->hasSeen = false;       // Its count of links has changed.
}

void Coherence::nameMoved(const NodeName& from, const NodeName& to, bool exchange)
{
    Node* moved = m_share.nodes.childOf(from.parent, from.name);
    Node* replaced = m_share.nodes.childOf(to.parent, to.name);
    Node* source = m_share.nodes.find(from.parent);
    Node* target = m_share.nodes.find(to.parent);
    // It came again, its answer having been lost: what was moved has its new name already.
    if (replaced && target && identityAt(*target, to.name) == replaced->identity) return;
    // In this order, or a bridge that is killed meanwhile would leave what was moved without a
    // name.
    if (replaced && replaced != moved) nameRemoved(to.parent, to.name);
    if (moved && target) m_share.nodes.addName(*moved, *target, to.name);
    m_share.nodes.dropName(from.parent, from.name);
    if (exchange && replaced && source) m_share.nodes.addName(*replaced, *source, from.name);
    for (Node* node : {moved, replaced}) {
        if (!node) continue;
        if (auto facts = m_share.nodes.factsOf(*node)) node->see(*facts);
    }
}

void Coherence::forget(std::uint64_t id, std::uint64_t count)
{
    m_share.nodes.forget(id, count);
    unwatchDead();
}

void Coherence::unwatchDead()
{
    for (int watch : m_share.nodes.takeDeadWatches()) m_watcher->remove(watch);
}

void Coherence::forgetAll()
{
    m_share.nodes.clear();
    m_share.store.clear();
    m_share.intents.clear();
    m_share.session = {};
    m_expected.clear();
    m_move.reset();
    unwatchDead();
}

void Coherence::beginChange(Node& node)
{
    if (node.ownChanges == 0) {
        if (auto facts = m_share.nodes.factsOf(node)) told(node, *facts);
    }
    ++node.ownChanges;
    ++node.ownChangesBegun;
}

void Coherence::beginNames(Node& directory)
{
    ++directory.ownChanges;
}

void Coherence::endNames(std::uint64_t directory)
{
    Node* node = m_share.nodes.find(directory);
    if (!node || node->ownChanges == 0) return;
    if (--node->ownChanges == 0) m_changeEnded.notify_all();
}

void Coherence::endChange(std::uint64_t id)
{
    Node* node = m_share.nodes.find(id);
    if (!node || node->ownChanges == 0) return;  // Forgotten meanwhile, with all others.
    --node->ownChanges;
    if (auto facts = m_share.nodes.factsOf(*node)) node->see(*facts);
    if (node->ownChanges == 0) m_changeEnded.notify_all();
}

void Coherence::run()
{
    for (;;) {
        auto events = m_watcher->wait(m_move ? static_cast<int>(kPair.count()) : -1);
        std::unique_lock lock(m_share.mutex);
        if (m_stopping) return;
        m_eventLock = &lock;
        if (m_move && std::chrono::steady_clock::now() >= m_move->until) flushMove();
        for (const auto& event : events) onEvent(event);
        auto overflow = std::find_if(events.begin(), events.end(), [](const HostEvent& event) {
            return event.what == What::Overflow;
        });
        if (overflow != events.end()) rescan(overflow->since, events);
        ++m_rounds;
        m_roundEnded.notify_all();
    }
}

void Coherence::onEvent(const HostEvent& event)
{
    if (event.what == What::Overflow) return;  // Dealt with at the end of the round.
    if (event.what == What::Mounts) return onMounts(event.name);
    Node* node = m_share.nodes.byWatch(event.watch);
    log::debug("files: host event {} of watch {} (node {}) {}", static_cast<int>(event.what),
               event.watch, node ? node->id : 0, event.name);
    if (!node) return;
    if (event.what == What::Gone) {
        m_share.nodes.setWatch(*node, -1);
        std::erase_if(m_expected,
                      [&](const auto& entry) { return std::get<0>(entry.first) == node->id; });
        return;
    }
    if (event.what == What::Modified || event.what == What::Attributes) {
        if (event.name.empty()) return onContents(*node, 0, event);
        if (Node* child = m_share.nodes.childOf(node->id, event.name))
            return onContents(*child, node->id, event);
        return onUnknownContents(node->id, event);
    }
    onName(*node, event);
}

void Coherence::onName(Node& directory, const HostEvent& event)
{
    if (event.what != What::MovedTo) flushMove();
    if (takeExpected(directory.id, event.name, event.what)) return;

    Node* known = m_share.nodes.childOf(directory.id, event.name);
    std::uint64_t knownId = known ? known->id : 0;
    // What the guest has looked up since the event was raised is no news.
    bool isCurrent = known && identityAt(directory, event.name) == known->identity;
    if (known && !isCurrent) {
        // Whoever has it open goes on with what it has.
        if (known->open() && !known->isDirectory() && !known->pin())
            m_share.nodes.pinAs(*known, known->open());
        m_share.nodes.dropName(directory.id, event.name);
    }
    m_outbox.entry(directory.id, event.name);
    m_outbox.inode(directory.id, true);
    if (known && !isCurrent) m_outbox.inode(knownId, false);

    InjectionOrder order;
    order.directory = directory.id;
    order.name = event.name;
    // What stands there by now is not what this event was about.
    std::uint64_t victim = isCurrent ? 0 : knownId;
    order.node = victim;
    switch (event.what) {
        case What::MovedFrom:
            order.what = fuse::Injection::Delete;
            order.mode =
                event.isDirectory ? fuse::kTypeDirectory | 0755 : fuse::kTypeRegular | 0644;
            fillPaths(order);
            m_move = Move{event.cookie, order, std::chrono::steady_clock::now() + kPair};
            return;
        case What::Deleted:
            order.what = fuse::Injection::Delete;
            order.mode =
                event.isDirectory ? fuse::kTypeDirectory | 0755 : fuse::kTypeRegular | 0644;
            break;
        case What::MovedTo:
            if (m_move && m_move->cookie == event.cookie) {
                order = m_move->order;
                m_move.reset();
                order.what = fuse::Injection::Rename;
                order.newDirectory = directory.id;
                order.newName = event.name;
                order.replaced = victim;
                followMove(order);
                break;
            }
            flushMove();
            [[fallthrough]];
        default:
            order.what = fuse::Injection::Create;
            order.mode = modeAt(directory, event.name, event.isDirectory);
    }
    fillPaths(order);
    m_outbox.inject(std::move(order));
}

Identity Coherence::identityAt(Node& directory, const std::string& name)
{
    auto handle = m_share.nodes.handleOf(directory);
    auto facts = handle ? m_share.tree.factsOfChild(**handle, name)
                        : FuseResult<FileFacts>(refuse(Errno::Stale));
    return facts ? facts->identity : Identity{};
}

void Coherence::followMove(const InjectionOrder& move)
{
    Node* moved = m_share.nodes.find(move.node);
    Node* directory = m_share.nodes.find(move.newDirectory);
    if (!moved || !directory) return;
    if (identityAt(*directory, move.newName) == moved->identity)
        m_share.nodes.addName(*moved, *directory, move.newName);
}

void Coherence::onContents(Node& node, std::uint64_t directory, const HostEvent& event)
{
    std::uint64_t id = node.id;
    waitForOwnChanges(id);
    Node* now = m_share.nodes.find(id);
    if (!now) return;
    auto facts = m_share.nodes.factsOf(*now);
    if (!facts || (now->isAsSeen(*facts) && !now->toldEarly)) return;
    now->toldEarly = false;
    // The file's own watch says it too, and has no name to inject the event under.
    if (directory == 0 && !now->anchor() && now->names()) directory = now->names()->parent;
    bool modified = event.what == What::Modified && now->isRegular();
    now->see(*facts);
    m_outbox.inode(id, modified || now->isRegular());

    InjectionOrder order;
    order.what = modified ? fuse::Injection::Modify : fuse::Injection::Attrib;
    order.node = id;
    order.mode = facts->mode;
    if (now->names()) {
        order.directory = now->names()->parent;
        order.name = now->names()->name;
        for (const auto* name = now->names(); name; name = name->next.get()) {
            if (name->parent == directory && name->name == event.name)
                order.directory = directory, order.name = name->name;
        }
        fillPaths(order);
        m_outbox.inject(std::move(order));
    }
}

// A watch on a folder hears of files that the guest has forgotten, or never asked for, too.
void Coherence::onUnknownContents(std::uint64_t directory, const HostEvent& event)
{
    waitForOwnChanges(directory);  // One of ours may be about to tell the guest of it.
    if (Node* child = m_share.nodes.childOf(directory, event.name))
        return onContents(*child, directory, event);
    Node* parent = m_share.nodes.find(directory);
    if (!parent) return;
    auto handle = m_share.nodes.handleOf(*parent);
    if (!handle) return;
    auto facts = m_share.tree.factsOfChild(**handle, event.name);
    if (!facts) return;
    bool isRegular = (facts->mode & fuse::kTypeMask) == fuse::kTypeRegular;
    InjectionOrder order;
    order.what = event.what == What::Modified && isRegular ? fuse::Injection::Modify
                                                           : fuse::Injection::Attrib;
    order.directory = directory;
    order.name = event.name;
    order.mode = facts->mode;
    fillPaths(order);
    m_outbox.inject(std::move(order));
}

void Coherence::waitForOwnChanges(std::uint64_t id)
{
    m_changeEnded.wait_for(*m_eventLock, kMaxOwnChange, [&] {
        Node* now = m_share.nodes.find(id);
        return m_stopping || !now || now->ownChanges == 0;
    });
}

// A disk that comes hides a folder, and one that goes shows it again: no folder's watch hears of
// it.
void Coherence::onMounts(const std::string& place)
{
    Node* parent = nullptr;
    Node* node = &m_share.nodes.root();
    std::string name;
    for (const auto& part : std::filesystem::path(place).relative_path()) {
        parent = node;
        name = part.string();
        node = m_share.nodes.childOf(parent->id, name);
        if (!node) return;
    }
    if (node->isVirtual) return;
    auto handle = m_share.tree.open(place);
    auto facts =
        handle ? m_share.tree.facts(**handle) : FuseResult<FileFacts>(refuse(handle.error()));
    if (facts && facts->identity == node->identity) return;
    m_share.nodes.dropName(parent->id, name);
    m_outbox.entry(parent->id, name);
    m_outbox.inode(parent->id, true);
    m_outbox.inode(node->id, false);
}

void Coherence::flushMove()
{
    if (!m_move) return;
    m_outbox.inject(std::move(m_move->order));
    m_move.reset();
}

std::uint32_t Coherence::modeAt(Node& directory, const std::string& name, bool isDirectory)
{
    if (auto handle = m_share.nodes.handleOf(directory)) {
        if (auto facts = m_share.tree.factsOfChild(**handle, name)) return facts->mode;
    }
    return isDirectory ? fuse::kTypeDirectory | 0755 : fuse::kTypeRegular | 0644;
}

void Coherence::fillPaths(InjectionOrder& order)
{
    auto wayTo = [&](std::uint64_t directory, std::string path) {
        Node* node = m_share.nodes.find(directory);
        while (node && node->id != fuse::kRootId) {
            if (!node->names()) return std::string();
            const auto& step = *node->names();
            order.way.push_back({step.parent, step.name, node->id});
            path.insert(0, step.name + "/");
            node = m_share.nodes.find(step.parent);
        }
        return node ? path : std::string();
    };
    if (order.path.empty()) order.path = wayTo(order.directory, order.name);
    if (order.newDirectory) order.newPath = wayTo(order.newDirectory, order.newName);
}

}  // namespace slipway
