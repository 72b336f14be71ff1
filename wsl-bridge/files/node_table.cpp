#include "wsl-bridge/files/node_table.h"

#include <algorithm>
#include <utility>

#include "shared/fuse/wire.h"

namespace slipway {
namespace {

constexpr std::uint32_t kVirtualMode = fuse::kTypeDirectory | 0755;
const HandlePtr kNoHandle;

}  // namespace

bool Node::isDirectory() const
{
    return (mode & fuse::kTypeMask) == fuse::kTypeDirectory;
}
bool Node::isRegular() const
{
    return (mode & fuse::kTypeMask) == fuse::kTypeRegular;
}

void Node::see(const FileFacts& facts)
{
    hasSeen = true;
    m_seenSize = facts.size;
    m_seenModifiedSeconds = facts.modified.seconds;
    m_seenModifiedNs = facts.modified.nanoseconds;
    m_seenChangedSeconds = facts.changed.seconds;
    m_seenChangedNs = facts.changed.nanoseconds;
    mode = facts.mode;
}

bool Node::hasSizeAndTimeAsSeen(const FileFacts& facts) const
{
    return hasSeen && m_seenSize == facts.size &&
           FileTime{m_seenModifiedSeconds, m_seenModifiedNs} == facts.modified;
}

bool Node::isAsSeen(const FileFacts& facts) const
{
    return hasSizeAndTimeAsSeen(facts) &&
           FileTime{m_seenChangedSeconds, m_seenChangedNs} == facts.changed;
}

const HandlePtr& Node::anchor() const
{
    return m_use ? m_use->anchor : kNoHandle;
}
void Node::setAnchor(HandlePtr anchor)
{
    use().anchor = std::move(anchor);
}
const HandlePtr& Node::pin() const
{
    return m_use ? m_use->pin : kNoHandle;
}
const HandlePtr& Node::open() const
{
    return m_use ? m_use->open : kNoHandle;
}
int Node::watch() const
{
    return m_use ? m_use->watch : -1;
}

std::uint32_t Node::countNameAsked()
{
    return ++use().namesAsked;
}
std::uint32_t Node::countFileRead()
{
    return ++use().filesRead;
}
std::uint32_t Node::namesAsked() const
{
    return m_use ? m_use->namesAsked : 0;
}

Node::Use& Node::use()
{
    if (!m_use) m_use = std::make_unique<Use>();
    return *m_use;
}

void Node::endUse()
{
    if (m_use && !m_use->anchor && !m_use->pin && !m_use->open && m_use->watch < 0) m_use.reset();
}

NodeTable::NodeTable(const FileTree& tree, NodeStore& store, PinKeeper& keeper, std::size_t maxOpen)
    : m_tree(tree), m_store(store), m_keeper(keeper), m_maxOpen(maxOpen)
{
    clear();
}

NodeTable::~NodeTable()
{
    m_names.clear();
    m_byIdentity.clear();
    m_nodes.clear(std::default_delete<Node>());
}

void NodeTable::clear()
{
    for (auto& [watch, node] : m_byWatch) m_deadWatches.push_back(watch);
    m_keeper.releaseAll();
    m_used.clear();
    m_byWatch.clear();
    m_byIdentity.clear();
    m_names.clear();
    m_nodes.clear(std::default_delete<Node>());
    Node& root = add(fuse::kRootId, {}, kVirtualMode);
    root.isVirtual = true;
    root.lookups = 1;
}

void NodeTable::load()
{
    auto records = m_store.load();
    for (auto& record : records) {
        Node& node = add(record.id, record.identity, record.mode);
        node.isVirtual = record.isVirtual;
        node.lookups = record.lookups;
        node.slot = record.slot;
        if (!record.isVirtual) m_byIdentity.insert(node);
    }
    for (auto& record : records) {
        Node* parent = find(record.parent);
        if (!parent || record.name.empty() || childOf(record.parent, record.name)) continue;
        link(find(record.id)->m_name, {record.parent, std::move(record.name)});
        ++parent->childNames;
    }
    for (auto& [id, handle] : m_keeper.takeOver()) {
        Node* node = find(id);
        auto facts = m_tree.facts(*handle);
        if (node && facts && facts->identity == node->identity)
            node->use().pin = std::move(handle);
        else
            m_keeper.release(id);
    }
}

Node* NodeTable::find(std::uint64_t id)
{
    return m_nodes.find(id);
}

Node* NodeTable::childOf(std::uint64_t parent, std::string_view name)
{
    auto found = m_names.find(Place{parent, name}, ByPlace{});
    return found == m_names.end() ? nullptr : &found->node;
}

Node* NodeTable::parentOf(const Node& node)
{
    return node.names() ? find(node.names()->parent) : nullptr;
}

Node* NodeTable::byWatch(int watch)
{
    auto found = m_byWatch.find(watch);
    return found == m_byWatch.end() ? nullptr : found->second;
}

std::size_t NodeTable::folders() const
{
    return static_cast<std::size_t>(std::count_if(
        m_nodes.begin(), m_nodes.end(), [](const Node& node) { return node.isDirectory(); }));
}

Node& NodeTable::add(std::uint64_t id, const Identity& identity, std::uint32_t mode)
{
    auto node = std::make_unique<Node>();
    node->id = id;
    node->identity = identity;
    node->mode = mode;
    m_nodes.insert(*node);
    return *node.release();
}

Node& NodeTable::make(const Identity& identity, std::uint32_t mode)
{
    return add(m_store.newId(), identity, mode);
}

Node& NodeTable::adopt(Node& parent, std::string_view name, const FileFacts& facts)
{
    Node* known = m_byIdentity.find(facts.identity);
    bool sameType = known && (known->mode & fuse::kTypeMask) == (facts.mode & fuse::kTypeMask);
    if (known && !sameType) m_byIdentity.erase(*known);
    Node& node = sameType ? *known : make(facts.identity, facts.mode);
    if (!sameType) m_byIdentity.insert(node);
    addName(node, parent, name);
    return node;
}

Node& NodeTable::adoptUnnamed(const FileFacts& facts, HandlePtr data)
{
    Node& node = make(facts.identity, facts.mode);
    m_byIdentity.insert(node);
    pinAs(node, data);
    keepData(node, std::move(data));
    return node;
}

Node& NodeTable::adoptVirtual(Node& parent, std::string_view name)
{
    if (Node* known = childOf(parent.id, name)) return *known;
    Node& node = make({}, kVirtualMode);
    node.isVirtual = true;
    addName(node, parent, name);
    return node;
}

Node& NodeTable::adoptGone(std::uint32_t mode)
{
    return make({}, mode);
}

void NodeTable::makeReal(Node& node, const FileFacts& facts, HandlePtr anchor)
{
    node.isVirtual = false;
    node.identity = facts.identity;
    node.mode = facts.mode;
    node.setAnchor(std::move(anchor));
    m_byIdentity.insert(node);
    persist(node);
}

void NodeTable::persist(Node& node)
{
    if (node.id == fuse::kRootId || (node.lookups == 0 && node.childNames == 0)) return;
    NodeRecord record;
    record.id = node.id;
    record.lookups = node.lookups;
    record.identity = node.identity;
    record.mode = node.mode;
    record.isVirtual = node.isVirtual;
    record.slot = node.slot;
    if (const auto* name = node.names()) {
        record.parent = name->parent;
        record.name = name->name;
    }
    node.slot = m_store.put(record);
}

void NodeTable::countLookup(Node& node)
{
    ++node.lookups;
    if (node.slot) {
        m_store.setLookups(node.slot, node.lookups);
    } else {
        persist(node);
    }
}

void NodeTable::forget(std::uint64_t id, std::uint64_t count)
{
    Node* node = find(id);
    if (!node || id == fuse::kRootId) return;
    node->lookups -= std::min(node->lookups, count);
    if (node->slot) m_store.setLookups(node->slot, node->lookups);
    dropIfUnknown(node);
}

void NodeTable::dropIfUnknown(Node* node)
{
    if (!node || node->id == fuse::kRootId) return;
    if (node->lookups > 0 || node->childNames > 0 || node->ownChanges > 0) return;
    std::vector<std::uint64_t> parents;
    while (node->names()) {
        parents.push_back(node->m_name.parent);
        removeName(*node, node->m_name);
    }
    if (node->watch() >= 0) {
        m_byWatch.erase(node->watch());
        m_deadWatches.push_back(node->watch());
    }
    closeOpen(*node);
    m_keeper.release(node->id);
    if (m_byIdentity.find(node->identity) == node) m_byIdentity.erase(*node);
    if (node->slot) m_store.erase(node->slot);
    m_nodes.erase(*node);
    delete node;
    for (auto id : parents) {
        Node* parent = find(id);
        if (!parent) continue;
        --parent->childNames;
        dropIfUnknown(parent);
    }
}

void NodeTable::link(KnownName& known, NodeName name)
{
    static_cast<NodeName&>(known) = std::move(name);
    m_names.insert(known);
}

NodeName NodeTable::unlink(KnownName& known)
{
    m_names.erase(m_names.iterator_to(known));
    return std::move(static_cast<NodeName&>(known));
}

// Of all of the node's names the first is in the node, so another takes its place there.
void NodeTable::removeName(Node& node, KnownName& known)
{
    unlink(known);
    KnownName* before = &node.m_name;
    if (&known == before) {
        if (!before->next) return;
        link(*before, unlink(*before->next));
    } else {
        while (before->next.get() != &known) before = before->next.get();
    }
    before->next = std::move(before->next->next);
}

void NodeTable::addName(Node& node, Node& parent, std::string_view name)
{
    Node* holder = childOf(parent.id, name);
    if (holder == &node) {
        KnownName& known = *m_names.find(Place{parent.id, name}, ByPlace{});
        if (&known == &node.m_name) return;
        auto last = unlink(known);
        link(known, unlink(node.m_name));
        link(node.m_name, std::move(last));
        return persist(node);
    }
    if (holder) dropName(parent.id, name);
    if (node.names()) {
        auto former = std::make_unique<KnownName>(node);
        link(*former, unlink(node.m_name));
        former->next = std::exchange(node.m_name.next, nullptr);
        node.m_name.next = std::move(former);
    }
    link(node.m_name, {parent.id, std::string(name)});
    ++parent.childNames;
    if (parent.slot == 0) persist(parent);
    persist(node);
}

Node* NodeTable::dropName(std::uint64_t parent, std::string_view name)
{
    auto found = m_names.find(Place{parent, name}, ByPlace{});
    if (found == m_names.end()) return nullptr;
    Node* node = &found->node;
    removeName(*node, *found);
    if (Node* directory = find(parent)) --directory->childNames;
    if (node->isDirectory()) closeBelow(*node);
    persist(*node);
    return node;
}

void NodeTable::closeBelow(Node& directory)
{
    closeOpen(directory);
    forEachChild(directory.id, [this](const std::string&, Node& child) {
        if (child.isDirectory()) closeBelow(child);
    });
}

void NodeTable::setWatch(Node& node, int watch)
{
    if (node.watch() >= 0) m_byWatch.erase(node.watch());
    node.use().watch = watch;
    if (watch >= 0) m_byWatch[watch] = &node;
    node.endUse();
}

std::vector<int> NodeTable::takeDeadWatches()
{
    return std::exchange(m_deadWatches, {});
}

bool NodeTable::mayStayOpen(Node& directory)
{
    for (Node* at = &directory; !at->anchor();) {
        if (at->isVirtual) return false;
        Node* parent = parentOf(*at);
        if (!parent || parent->watch() < 0) return false;
        at = parent;
    }
    return true;
}

void NodeTable::keepOpen(Node& node, HandlePtr handle, bool forWriting)
{
    closeOpen(node);
    while (m_used.size() >= m_maxOpen) closeOpen(*m_used.back());
    m_used.push_front(&node);
    Node::Use& use = node.use();
    use.place = m_used.begin();
    use.open = std::move(handle);
    use.openForWriting = forWriting;
}

void NodeTable::closeOpen(Node& node)
{
    if (!node.open()) return;
    m_used.erase(node.m_use->place);
    node.m_use->open.reset();
    node.endUse();
}

FuseResult<HandlePtr> NodeTable::walk(Node& node)
{
    Errno error = Errno::Stale;
    for (const auto* name = node.names(); name; name = name->next.get()) {
        Node* parent = find(name->parent);
        if (!parent || parent->isVirtual) continue;
        auto directory = handleOf(*parent);
        if (!directory) continue;
        auto found = m_tree.openChild(**directory, name->name);
        if (!found) {
            if (found.error() != Errno::NoEntry && found.error() != Errno::NotDirectory)
                error = found.error();
            continue;
        }
        auto facts = m_tree.facts(**found);
        if (facts && facts->identity == node.identity) return found;
    }
    return refuse(error);
}

FuseResult<HandlePtr> NodeTable::handleOf(Node& node)
{
    if (node.isVirtual) return refuse(Errno::Stale);
    if (node.pin()) return node.pin();
    if (node.anchor()) return node.anchor();
    if (node.open() && node.isDirectory()) {
        m_used.splice(m_used.begin(), m_used, node.m_use->place);
        return node.open();
    }
    auto found = walk(node);
    if (found && node.isDirectory() && mayStayOpen(node)) keepOpen(node, *found, false);
    if (!found && node.open()) return node.open();  // A file that has lost its names on the host.
    return found;
}

FuseResult<FileFacts> NodeTable::factsOf(Node& node)
{
    if (node.isVirtual) {
        FileFacts facts;
        facts.identity.inode = node.id;
        facts.mode = node.mode;
        facts.links = 2;
        facts.blockBytes = fuse::kPageBytes;
        return facts;
    }
    if (node.open()) return m_tree.facts(*node.open());
    auto handle = handleOf(node);
    if (!handle) return refuse(handle.error());
    return m_tree.facts(**handle);
}

FuseResult<HandlePtr> NodeTable::dataOf(Node& node, bool forWriting)
{
    if (node.isDirectory()) return refuse(Errno::IsDirectory);
    if (node.open() && (node.m_use->openForWriting || !forWriting)) {
        m_used.splice(m_used.begin(), m_used, node.m_use->place);
        return node.open();
    }
    auto handle = handleOf(node);
    if (!handle) return handle;
    auto data = m_tree.openData(**handle, forWriting);
    if (data) keepOpen(node, *data, forWriting);
    return data;
}

void NodeTable::keepData(Node& node, HandlePtr data)
{
    keepOpen(node, std::move(data), true);
}

void NodeTable::unpin(Node& node)
{
    if (!node.pin() || !node.names() || node.anchor()) return;
    node.m_use->pin.reset();
    node.endUse();
    m_keeper.release(node.id);
}

void NodeTable::pin(Node& node)
{
    if (node.pin() || node.isVirtual || node.lookups == 0) return;
    if (auto handle = handleOf(node)) pinAs(node, *handle);
}

void NodeTable::pinAs(Node& node, HandlePtr handle)
{
    m_keeper.keep(node.id, *handle);
    node.use().pin = std::move(handle);
}

std::optional<std::string> NodeTable::pathOf(const Node& node)
{
    std::string path;
    for (const Node* at = &node; at->id != fuse::kRootId;) {
        const auto* name = at->names();
        if (!name) return std::nullopt;
        path.insert(0, "/" + name->name);
        at = find(name->parent);
        if (!at) return std::nullopt;
    }
    return path;
}

}  // namespace slipway
