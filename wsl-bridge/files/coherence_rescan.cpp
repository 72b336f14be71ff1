// What became of the folders that the guest knows while events of the host were lost.
//
// Theory of operation. The host's queue was seen empty at some time, and what happened after it is
// either among the events that were heard, or lost. Once the heard ones are dealt with, the table
// is what the guest was told; what the folders hold by now is laid beside it, and each difference
// goes the way of the event that should have told of it. A name that nobody has asked for leaves
// nothing to compare with: it is new if the file's times say so, where an event too many is better
// than one too few. The deepest folders come first, as a removed tree's names must be told before
// the names that lead to it.
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "shared/core/log.h"
#include "shared/fuse/wire.h"
#include "wsl-bridge/files/coherence.h"

namespace slipway {
namespace {

using What = HostEvent::What;

bool isOfType(std::uint32_t mode, std::uint32_t type)
{
    return (mode & fuse::kTypeMask) == type;
}

// None: the host's file system does not keep it.
std::optional<FileTime> birthOf(const FileFacts& facts)
{
    constexpr std::uint64_t kSecond = 1'000'000'000;
    auto since1970 = facts.identity.birthNs;
    if (since1970 == 0) return std::nullopt;
    return FileTime{static_cast<std::int64_t>(since1970 / kSecond),
                    static_cast<std::uint32_t>(since1970 % kSecond)};
}

class LostEvents {
public:
    // A name whose event, of a call of ours, is still to come.
    using IsExpected = std::function<bool(std::uint64_t directory, const std::string& name)>;

    LostEvents(Share& share, const FileTime& since, const std::vector<HostEvent>& heard,
               IsExpected isExpected)
        : m_share(share), m_since(since), m_isExpected(std::move(isExpected))
    {
        for (const auto& event : heard) {
            auto& there = m_heardOf[event.watch];
            if (event.what == What::Deleted || event.what == What::MovedFrom)
                there.erase(event.name);
            else
                there.insert(event.name);
        }
    }

    void look(Node& watched)
    {
        auto handle = m_share.nodes.handleOf(watched);
        if (!handle && handle.error() != Errno::Stale && handle.error() != Errno::NoEntry) return;
        if (handle) {
            auto facts = m_share.tree.facts(**handle);
            if (facts && facts->links > 0) compare(watched, watched, *facts, "");
        }
        if (watched.isDirectory()) lookInside(watched, handle ? handle->get() : nullptr);
    }

    std::vector<HostEvent> take() { return std::move(m_events); }

private:
    // Null: the folder is gone, and all that was in it.
    void lookInside(Node& folder, const Handle* handle)
    {
        std::set<std::string> present;
        if (handle) {
            auto listed = m_share.tree.list(*handle, 0, [&](const DirectoryEntry& entry) {
                if (!entry.isDot()) present.emplace(entry.name);
                return true;
            });
            // A folder that was removed while we had it open can't be listed any more.
            if (!listed && listed.error() != Errno::NoEntry) return;
        }
        for (const auto& name : present) {
            auto facts = m_share.tree.factsOfChild(*handle, name);
            if (!facts || m_isExpected(folder.id, name)) continue;
            const Node* known = m_share.nodes.childOf(folder.id, name);
            if (known && known->identity == facts->identity)
                compare(folder, *known, *facts, name);
            else if (known)
                isNew(folder, What::MovedTo, *facts, name);
            else if (!m_heardOf[folder.watch()].contains(name) && facts->changed >= m_since)
                isUnknown(folder, *facts, name);
        }
        m_share.nodes.forEachChild(folder.id, [&](const std::string& name, const Node& child) {
            if (!present.contains(name) && !m_isExpected(folder.id, name))
                raise(folder, What::Deleted, child.mode, name);
        });
    }

    void compare(const Node& watched, const Node& known, const FileFacts& facts,
                 const std::string& name)
    {
        bool isTold = known.hasSeen && !known.toldEarly;
        if (isTold ? known.isAsSeen(facts) : facts.changed < m_since) return;
        if (known.isDirectory()) {
            // Its times change with what is in it too, which raises no event of its own.
            bool byItself = known.mode != facts.mode || facts.changed > facts.modified;
            if (byItself) raise(watched, What::Attributes, facts.mode, name);
        } else {
            bool modified = isTold ? !known.hasSizeAndTimeAsSeen(facts) : facts.modified >= m_since;
            raise(watched, modified ? What::Modified : What::Attributes, facts.mode, name);
        }
    }

    // Made, written, or moved here.
    void isUnknown(const Node& folder, const FileFacts& facts, const std::string& name)
    {
        auto birth = birthOf(facts);
        bool wasThere = birth && *birth < m_since && facts.modified >= m_since;
        if (!wasThere) return isNew(folder, What::Created, facts, name);
        if (isOfType(facts.mode, fuse::kTypeRegular))
            raise(folder, What::Modified, facts.mode, name);
    }

    void isNew(const Node& folder, What what, const FileFacts& facts, const std::string& name)
    {
        raise(folder, what, facts.mode, name);
        bool isWritten = isOfType(facts.mode, fuse::kTypeRegular) && facts.size > 0;
        if (isWritten && facts.modified >= m_since) raise(folder, What::Modified, facts.mode, name);
    }

    void raise(const Node& watched, What what, std::uint32_t mode, const std::string& name)
    {
        HostEvent event;
        event.what = what;
        event.watch = watched.watch();
        event.isDirectory = isOfType(mode, fuse::kTypeDirectory);
        event.name = name;
        m_events.push_back(std::move(event));
    }

    Share& m_share;
    FileTime m_since;
    IsExpected m_isExpected;
    std::map<int, std::set<std::string_view>> m_heardOf;  // Names by watch, of what is there.
    std::vector<HostEvent> m_events;
};

}  // namespace

void Coherence::rescan(const FileTime& since, const std::vector<HostEvent>& heard)
{
    log::warn(
        "files: host events were lost (raise fs.inotify.max_queued_events); all shared folders are "
        "looked through");
    flushMove();
    // Those of calls under way may still come.
    std::erase_if(m_expected, [this](const auto& entry) {
        Node* directory = m_share.nodes.find(std::get<0>(entry.first));
        return !directory || directory->ownChanges == 0;
    });
    LostEvents lost(m_share, since, heard,
                    [this](std::uint64_t directory, const std::string& name) {
                        auto at = m_expected.lower_bound({directory, name, What{}});
                        return at != m_expected.end() && std::get<0>(at->first) == directory &&
                               std::get<1>(at->first) == name;
                    });

    auto depthOf = [this](const Node* node) {
        std::size_t depth = 0;
        while ((node = m_share.nodes.parentOf(*node))) ++depth;
        return depth;
    };
    std::vector<std::pair<std::size_t, std::uint64_t>> watched;
    m_share.nodes.forEach([&](const Node& node) {
        if (node.watch() >= 0) watched.emplace_back(depthOf(&node), node.id);
    });
    std::sort(watched.rbegin(), watched.rend());
    for (const auto& [depth, id] : watched) {
        Node* node = m_share.nodes.find(id);
        if (node && node->watch() >= 0) lost.look(*node);
        m_eventLock->unlock();  // The guest's requests go on.
        m_eventLock->lock();
        if (m_stopping) return;
    }
    m_outbox.everything();  // Not before: the guest forgets much upon it.
    for (const auto& event : lost.take()) onEvent(event);
}

}  // namespace slipway
