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

#include <compare>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/intrusive/set.hpp>

#include "shared/fuse/errno.h"
#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/hash_index.h"
#include "wsl-bridge/files/node_store.h"
#include "wsl-bridge/files/pin_keeper.h"

namespace slipway {

struct Node;

struct NodeName {
    std::uint64_t parent = 0;
    std::string name;
};

// A name in the table. A node has its last one in itself; few have more, chained to it.
struct KnownName : NodeName,
                   boost::intrusive::set_base_hook<boost::intrusive::optimize_size<true>> {
    explicit KnownName(Node& of) : node(of) {}
    Node& node;
    std::unique_ptr<KnownName> next;
};

// There may be a million of these: what only few of them need is in a Use.
struct Node : HashHook<struct NodeId>, HashHook<struct NodeIdentity> {
    std::uint64_t id = 0;
    Identity identity;
    std::uint64_t lookups = 0;  // How often the kernel was told this id, less what it forgot.
    std::uint32_t mode = 0;
    std::uint32_t childNames = 0;  // Names that have this node as their parent.
    std::uint32_t slot = 0;

    std::uint32_t ownChangesBegun = 0;  // Ever.
    std::uint16_t ownChanges = 0;       // Of ours, under way.
    bool isVirtual = false;
    bool hasSeen = false;            // See see().
    bool toldEarly = false;          // An answer revealed a change whose event is still to come.
    bool toldAhead = false;          // The agent may have something about it to answer with.
    bool contentsToldAhead = false;  // And not been asked for here since.
    bool wasListed = false;          // By the guest, or ahead.

    Node() : m_name(*this) {}

    // The last one first; null: it has none.
    const KnownName* names() const { return m_name.is_linked() ? &m_name : nullptr; }

    const HandlePtr& anchor() const;  // It is a granted file or folder.
    void setAnchor(HandlePtr anchor);
    const HandlePtr& pin() const;   // It is unlinked, and still known to the guest.
    const HandlePtr& open() const;  // A folder for walking, a file for its data.
    int watch() const;              // -1: none.

    // How often, in this folder: a name was asked for by LOOKUP, a file read from its beginning.
    std::uint32_t countNameAsked();
    std::uint32_t countFileRead();
    std::uint32_t namesAsked() const;

    bool isDirectory() const;
    bool isRegular() const;

    // What the guest was last told, or we did last: what differs from it was changed by others.
    void see(const FileFacts& facts);
    bool isAsSeen(const FileFacts& facts) const;
    bool hasSizeAndTimeAsSeen(const FileFacts& facts) const;  // Else its contents have changed.
    std::uint64_t seenSize() const { return m_seenSize; }

private:
    friend class NodeTable;

    struct Use {
        HandlePtr anchor, pin;
        HandlePtr open;  // Closed when it is least used.
        bool openForWriting = false;
        std::list<Node*>::iterator place;  // In the list of those; valid while `open` is.
        int watch = -1;
        std::uint32_t namesAsked = 0, filesRead = 0;
    };
    Use& use();
    void endUse();  // If there is none.

    std::uint64_t m_seenSize = 0;
    std::int64_t m_seenModifiedSeconds = 0, m_seenChangedSeconds = 0;
    std::uint32_t m_seenModifiedNs = 0, m_seenChangedNs = 0;
    KnownName m_name;
    std::unique_ptr<Use> m_use;
};

class NodeTable {
public:
    NodeTable(const FileTree& tree, NodeStore& store, PinKeeper& keeper, std::size_t maxOpen);
    ~NodeTable();
    NodeTable(const NodeTable&) = delete;
    NodeTable& operator=(const NodeTable&) = delete;

    void load();   // What the store and the keeper hold.
    void clear();  // A new kernel connection.

    Node* find(std::uint64_t id);
    Node* childOf(std::uint64_t parent, std::string_view name);
    Node* parentOf(const Node& node);  // By its last name; null: it has none.
    Node* byWatch(int watch);
    Node& root() { return *find(1); }
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
        for (auto& node : m_nodes) each(node);
    }
    template <class Each>
    void forEachChild(std::uint64_t parent, const Each& each)
    {
        for (auto at = m_names.lower_bound(Place{parent, {}}, ByPlace{});
             at != m_names.end() && at->parent == parent; ++at)
            each(at->name, at->node);
    }

private:
    struct Place {
        std::uint64_t parent;
        std::string_view name;
        auto operator<=>(const Place&) const = default;
    };
    struct ByPlace {
        static Place of(const NodeName& name) { return {name.parent, name.name}; }
        static const Place& of(const Place& place) { return place; }
        template <class Left, class Right>
        bool operator()(const Left& left, const Right& right) const
        {
            return of(left) < of(right);
        }
    };
    struct ById {
        static std::uint64_t keyOf(const Node& node) { return node.id; }
        static std::size_t hash(std::uint64_t id) { return id; }
    };
    struct ByIdentity {
        static const Identity& keyOf(const Node& node) { return node.identity; }
        static std::size_t hash(const Identity& is)
        {
            return (is.inode * 0x9e3779b97f4a7c15ULL) ^ (is.birthNs * 31) ^ is.device;
        }
    };

    Node& add(std::uint64_t id, const Identity& identity, std::uint32_t mode);
    Node& make(const Identity& identity, std::uint32_t mode);
    void link(KnownName& known, NodeName name);
    NodeName unlink(KnownName& known);
    void removeName(Node& node, KnownName& known);
    void dropIfUnknown(Node* node);
    void persist(Node& node);
    bool mayStayOpen(Node& directory);
    void keepOpen(Node& node, HandlePtr handle, bool forWriting);
    void closeOpen(Node& node);
    FuseResult<HandlePtr> walk(Node& node);

    const FileTree& m_tree;
    NodeStore& m_store;
    PinKeeper& m_keeper;
    const std::size_t m_maxOpen;
    HashIndex<Node, NodeId, ById> m_nodes;                                         // Each is ours.
    boost::intrusive::set<KnownName, boost::intrusive::compare<ByPlace>> m_names;  // Of the nodes.
    HashIndex<Node, NodeIdentity, ByIdentity> m_byIdentity;  // Of those with a file.
    std::unordered_map<int, Node*> m_byWatch;
    std::vector<int> m_deadWatches;
    std::list<Node*> m_used;  // The most recent first.
};

}  // namespace slipway
