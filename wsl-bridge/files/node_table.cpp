#include "wsl-bridge/files/node_table.h"

#include <algorithm>
#include <utility>

#include "shared/fuse/wire.h"

namespace slipway {
namespace {

constexpr std::uint32_t kVirtualMode = fuse::kTypeDirectory | 0755;

}  // namespace

bool Node::isDirectory() const
{
    return (mode & fuse::kTypeMask) == fuse::kTypeDirectory;
}
bool Node::isRegular() const
{
    return (mode & fuse::kTypeMask) == fuse::kTypeRegular;
}

bool Node::isAsSeen(const FileFacts& facts) const
{
    return hasSeen && seenSize == facts.size && seenModified == facts.modified &&
           seenChanged == facts.changed;
}

void Node::see(const FileFacts& facts)
{
    hasSeen = true;
    seenSize = facts.size;
    seenModified = facts.modified;
    seenChanged = facts.changed;
    mode = facts.mode;
}

std::size_t NodeTable::IdentityHash::operator()(const Identity& identity) const
{
    return (identity.inode * 0x9e3779b97f4a7c15ULL) ^ (identity.birthNs * 31) ^ identity.device;
}

NodeTable::NodeTable(const FileTree& tree, NodeStore& store, PinKeeper& keeper, std::size_t maxOpen)
    : m_tree(tree), m_store(store), m_keeper(keeper), m_maxOpen(maxOpen)
{
    clear();
}

void NodeTable::clear()
{
    for (auto& [watch, node] : m_byWatch) m_deadWatches.push_back(watch);
    m_keeper.releaseAll();
    m_used.clear();
    m_children.clear();
    m_byWatch.clear();
    m_byIdentity.clear();
    m_nodes.clear();
    auto root = std::make_unique<Node>();
    root->id = fuse::kRootId;
    root->mode = kVirtualMode;
    root->isVirtual = true;
    root->lookups = 1;
    m_nodes[fuse::kRootId] = std::move(root);
}

void NodeTable::load()
{
    auto records = m_store.load();
    for (auto& record : records) {
        auto node = std::make_unique<Node>();
        node->id = record.id;
        node->identity = record.identity;
        node->mode = record.mode;
        node->isVirtual = record.isVirtual;
        node->lookups = record.lookups;
        node->slot = record.slot;
        if (!record.isVirtual) m_byIdentity[record.identity] = node.get();
        m_nodes[record.id] = std::move(node);
    }
    for (auto& record : records) {
        auto parent = m_nodes.find(record.parent);
        if (parent == m_nodes.end() || record.name.empty()) continue;
        Node* node = m_nodes.at(record.id).get();
        if (!m_children.try_emplace(Key{record.parent, record.name}, node).second) continue;
        node->names.push_back({record.parent, record.name});
        ++parent->second->childNames;
    }
    for (auto& [id, handle] : m_keeper.takeOver()) {
        Node* node = find(id);
        auto facts = m_tree.facts(*handle);
        if (node && facts && facts->identity == node->identity)
            node->pin = std::move(handle);
        else
            m_keeper.release(id);
    }
}

void NodeTable::unpinAll()
{
    m_keeper.releaseAll();
    for (auto& [id, node] : m_nodes) node->pin.reset();
}

Node* NodeTable::find(std::uint64_t id)
{
    auto found = m_nodes.find(id);
    return found == m_nodes.end() ? nullptr : found->second.get();
}

Node* NodeTable::childOf(std::uint64_t parent, std::string_view name)
{
    auto found = m_children.find(Key{parent, std::string(name)});
    return found == m_children.end() ? nullptr : found->second;
}

Node* NodeTable::parentOf(const Node& node)
{
    return node.names.empty() ? nullptr : find(node.names.front().parent);
}

Node* NodeTable::byWatch(int watch)
{
    auto found = m_byWatch.find(watch);
    return found == m_byWatch.end() ? nullptr : found->second;
}

std::size_t NodeTable::folders() const
{
    return static_cast<std::size_t>(
        std::count_if(m_nodes.begin(), m_nodes.end(),
                      [](const auto& entry) { return entry.second->isDirectory(); }));
}

Node& NodeTable::make(const Identity& identity, std::uint32_t mode)
{
    auto node = std::make_unique<Node>();
    node->id = m_store.newId();
    node->identity = identity;
    node->mode = mode;
    return *(m_nodes[node->id] = std::move(node));
}

Node& NodeTable::adopt(Node& parent, std::string_view name, const FileFacts& facts)
{
    auto known = m_byIdentity.find(facts.identity);
    bool sameType = known != m_byIdentity.end() &&
                    (known->second->mode & fuse::kTypeMask) == (facts.mode & fuse::kTypeMask);
    Node& node = sameType ? *known->second : make(facts.identity, facts.mode);
    if (!sameType) m_byIdentity[facts.identity] = &node;
    addName(node, parent, name);
    return node;
}

Node& NodeTable::adoptUnnamed(const FileFacts& facts, HandlePtr data)
{
    Node& node = make(facts.identity, facts.mode);
    m_byIdentity[facts.identity] = &node;
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
    node.anchor = std::move(anchor);
    m_byIdentity.try_emplace(facts.identity, &node);
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
    if (!node.names.empty()) {
        record.parent = node.names.front().parent;
        record.name = node.names.front().name;
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
    auto names = std::move(node->names);
    for (auto& name : names) m_children.erase(Key{name.parent, name.name});
    if (node->watch >= 0) {
        m_byWatch.erase(node->watch);
        m_deadWatches.push_back(node->watch);
    }
    closeOpen(*node);
    m_keeper.release(node->id);
    forgetIdentity(*node);
    if (node->slot) m_store.erase(node->slot);
    m_nodes.erase(node->id);
    for (auto& name : names) {
        Node* parent = find(name.parent);
        if (!parent) continue;
        --parent->childNames;
        dropIfUnknown(parent);
    }
}

void NodeTable::forgetIdentity(Node& node)
{
    auto known = m_byIdentity.find(node.identity);
    if (known != m_byIdentity.end() && known->second == &node) m_byIdentity.erase(known);
}

void NodeTable::addName(Node& node, Node& parent, std::string_view name)
{
    Node* holder = childOf(parent.id, name);
    if (holder == &node) {
        auto at =
            std::find(node.names.begin(), node.names.end(), NodeName{parent.id, std::string(name)});
        if (at == node.names.begin()) return;
        std::rotate(node.names.begin(), at, at + 1);
        return persist(node);
    }
    if (holder) dropName(parent.id, name);
    m_children[Key{parent.id, std::string(name)}] = &node;
    node.names.insert(node.names.begin(), NodeName{parent.id, std::string(name)});
    ++parent.childNames;
    if (parent.slot == 0) persist(parent);
    persist(node);
}

Node* NodeTable::dropName(std::uint64_t parent, std::string_view name)
{
    auto found = m_children.find(Key{parent, std::string(name)});
    if (found == m_children.end()) return nullptr;
    Node* node = found->second;
    m_children.erase(found);
    std::erase(node->names, NodeName{parent, std::string(name)});
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
    if (node.watch >= 0) m_byWatch.erase(node.watch);
    node.watch = watch;
    if (watch >= 0) m_byWatch[watch] = &node;
}

std::vector<int> NodeTable::takeDeadWatches()
{
    return std::exchange(m_deadWatches, {});
}

bool NodeTable::mayStayOpen(Node& directory)
{
    for (Node* at = &directory; !at->anchor;) {
        if (at->isVirtual || at->names.empty()) return false;
        Node* parent = find(at->names.front().parent);
        if (!parent || parent->watch < 0) return false;
        at = parent;
    }
    return true;
}

void NodeTable::keepOpen(Node& node, HandlePtr handle, bool forWriting)
{
    closeOpen(node);
    while (m_used.size() >= m_maxOpen) closeOpen(*m_used.back());
    m_used.push_front(&node);
    node.use = m_used.begin();
    node.open = std::move(handle);
    node.openForWriting = forWriting;
}

void NodeTable::closeOpen(Node& node)
{
    if (!node.open) return;
    m_used.erase(node.use);
    node.open.reset();
    node.openForWriting = false;
}

FuseResult<HandlePtr> NodeTable::walk(Node& node)
{
    Errno error = Errno::Stale;
    for (const auto& name : std::vector<NodeName>(node.names)) {
        Node* parent = find(name.parent);
        if (!parent || parent->isVirtual) continue;
        auto directory = handleOf(*parent);
        if (!directory) continue;
        auto found = m_tree.openChild(**directory, name.name);
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
    if (node.pin) return node.pin;
    if (node.anchor) return node.anchor;
    if (node.open && node.isDirectory()) {
        m_used.splice(m_used.begin(), m_used, node.use);
        return node.open;
    }
    auto found = walk(node);
    if (found && node.isDirectory() && mayStayOpen(node)) keepOpen(node, *found, false);
    if (!found && node.open) return node.open;  // A file that has lost its names on the host.
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
    if (node.open) return m_tree.facts(*node.open);
    auto handle = handleOf(node);
    if (!handle) return refuse(handle.error());
    return m_tree.facts(**handle);
}

FuseResult<HandlePtr> NodeTable::dataOf(Node& node, bool forWriting)
{
    if (node.isDirectory()) return refuse(Errno::IsDirectory);
    if (node.open && (node.openForWriting || !forWriting)) {
        m_used.splice(m_used.begin(), m_used, node.use);
        return node.open;
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
    if (!node.pin || node.names.empty() || node.anchor) return;
    node.pin.reset();
    m_keeper.release(node.id);
}

void NodeTable::pin(Node& node)
{
    if (node.pin || node.isVirtual || node.lookups == 0) return;
    if (auto handle = handleOf(node)) pinAs(node, *handle);
}

void NodeTable::pinAs(Node& node, HandlePtr handle)
{
    m_keeper.keep(node.id, *handle);
    node.pin = std::move(handle);
}

std::optional<std::string> NodeTable::pathOf(const Node& node)
{
    std::string path;
    for (const Node* at = &node; at->id != fuse::kRootId;) {
        if (at->names.empty()) return std::nullopt;
        path.insert(0, "/" + at->names.front().name);
        at = find(at->names.front().parent);
        if (!at) return std::nullopt;
    }
    return path;
}

}  // namespace slipway
