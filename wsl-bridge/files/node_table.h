// The nodes of the share: which file of the host each of the kernel's node ids means, and the
// handles on it.
//
// Theory of operation. A node is one file of the host, known by its Identity whatever names it has.
// It keeps the names under which the guest has seen it, the last one first, and is reached by
// walking from an anchor (a granted file or folder, held open) down the names; what is found must
// have the node's identity, else the name is stale and the answer is ESTALE, upon which the guest's
// kernel looks the name up anew. Ancestors of granted folders are *virtual* nodes: bare directories
// without a file behind them.
//
// Handles. Folders are kept open for walking, files for reading and writing, in one list of which
// the least used are closed. A folder stays open only while the folder above it is watched (or is
// an anchor's), because then a move out of the granted tree is heard of and closes it. What is
// unlinked while the guest knows it is *pinned*: held open until the guest forgets it, here and by
// the keeper, from whom the next bridge has it.
//
// Not thread-safe: whoever calls holds Share::mutex.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/fuse/errno.h"
#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/node_store.h"
#include "wsl-bridge/files/pin_keeper.h"

namespace slipway {

struct NodeName {
    std::uint64_t parent = 0;
    std::string name;
    bool operator==(const NodeName&) const = default;
};

struct Node {
    std::uint64_t id = 0;
    Identity identity;
    std::uint32_t mode = 0;
    bool isVirtual = false;
    std::uint64_t lookups = 0;     // How often the kernel was told this id, less what it forgot.
    std::uint32_t childNames = 0;  // Names that have this node as their parent.
    std::vector<NodeName> names;
    std::uint32_t slot = 0;

    HandlePtr anchor;  // A granted file or folder.
    HandlePtr pin;     // Unlinked, and still known to the guest.
    HandlePtr open;    // A folder for walking, a file for its data; closed when it is least used.
    bool openForWriting = false;
    std::list<Node*>::iterator use;  // Valid while `open` is.

    int watch = -1;

    // What the guest was last told, or we did last: what differs from it was changed by others.
    bool hasSeen = false;
    bool toldEarly = false;  // An answer revealed a change whose event is still to come.
    std::uint64_t seenSize = 0;
    FileTime seenModified, seenChanged;
    int ownChanges = 0;                 // Of ours, under way.
    std::uint32_t ownChangesBegun = 0;  // Ever.
    bool toldAhead = false;             // The agent may have something about it to answer with.
    bool contentsToldAhead = false;     // And not been asked for here since.
    bool wasListed = false;             // By the guest, or ahead.
    std::uint32_t namesAsked = 0;       // In this folder, by LOOKUP.
    std::uint32_t filesRead = 0;        // In this folder, from their beginning.

    bool isDirectory() const;
    bool isRegular() const;
    bool isAsSeen(const FileFacts& facts) const;
    void see(const FileFacts& facts);
};

class NodeTable {
public:
    NodeTable(const FileTree& tree, NodeStore& store, PinKeeper& keeper, std::size_t maxOpen);
    NodeTable(const NodeTable&) = delete;
    NodeTable& operator=(const NodeTable&) = delete;

    void load();   // What the store and the keeper hold.
    void clear();  // A new kernel connection.
    void unpinAll();

    Node* find(std::uint64_t id);
    Node* childOf(std::uint64_t parent, std::string_view name);
    Node* parentOf(const Node& node);  // By its last name; null: it has none.
    Node* byWatch(int watch);
    Node& root() { return *m_nodes.at(1); }
    std::size_t size() const { return m_nodes.size(); }
    std::size_t folders() const;

    // The node of a file that was just seen under this name, made if it is new.
    Node& adopt(Node& parent, std::string_view name, const FileFacts& facts);
    // The node of a file that has no name yet.
    Node& adoptUnnamed(const FileFacts& facts, HandlePtr data);
    Node& adoptVirtual(Node& parent, std::string_view name);
    // A node without a file, for an answer to the injector about what is gone already.
    Node& adoptGone(std::uint32_t mode);
    void makeReal(Node& node, const FileFacts& facts, HandlePtr anchor);

    void countLookup(Node& node);
    void uncountLookup(Node& node) { forget(node.id, 1); }
    void forget(std::uint64_t id, std::uint64_t count);

    void addName(Node& node, Node& parent, std::string_view name);
    // The node had this name no longer; null where none was known to have it.
    Node* dropName(std::uint64_t parent, std::string_view name);
    void closeBelow(Node& directory);  // Its handle and those of all folders below.

    void setWatch(Node& node, int watch);
    std::vector<int> takeDeadWatches();  // Those of nodes that are gone.

    // For walking and for changes of attributes, not for data.
    FuseResult<HandlePtr> handleOf(Node& node);
    FuseResult<FileFacts> factsOf(Node& node);
    FuseResult<HandlePtr> dataOf(Node& node, bool forWriting);
    void keepData(Node& node, HandlePtr data);  // Open for reading and writing.
    void pin(Node& node);                       // Best effort: while it still has a name.
    void pinAs(Node& node, HandlePtr handle);
    void unpin(Node& node);  // If it is reached by a name.

    // Where the node is below the root: "/home/ann/src". None: it has no name any more.
    std::optional<std::string> pathOf(const Node& node);

    template <class Each>
    void forEach(const Each& each)
    {
        for (auto& [id, node] : m_nodes) each(*node);
    }
    template <class Each>
    void forEachChild(std::uint64_t parent, const Each& each)
    {
        for (auto at = m_children.lower_bound(Key{parent, {}});
             at != m_children.end() && at->first.first == parent; ++at)
            each(at->first.second, *at->second);
    }

private:
    using Key = std::pair<std::uint64_t, std::string>;
    struct IdentityHash {
        std::size_t operator()(const Identity& identity) const;
    };

    Node& make(const Identity& identity, std::uint32_t mode);
    void dropIfUnknown(Node* node);
    void forgetIdentity(Node& node);
    void persist(Node& node);
    bool mayStayOpen(Node& directory);
    void keepOpen(Node& node, HandlePtr handle, bool forWriting);
    void closeOpen(Node& node);
    FuseResult<HandlePtr> walk(Node& node);

    const FileTree& m_tree;
    NodeStore& m_store;
    PinKeeper& m_keeper;
    const std::size_t m_maxOpen;
    std::unordered_map<std::uint64_t, std::unique_ptr<Node>> m_nodes;
    std::unordered_map<Identity, Node*, IdentityHash> m_byIdentity;
    std::unordered_map<int, Node*> m_byWatch;
    std::vector<int> m_deadWatches;
    std::map<Key, Node*> m_children;
    std::list<Node*> m_used;  // The most recent first.
};

}  // namespace slipway
