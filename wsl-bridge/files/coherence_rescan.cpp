// What became of the folders that the guest knows while events of the host were lost.
//
// Theory of operation. The host's queue was seen empty at some time, and what happened after it is
// either among the events that were heard, or lost. Once the heard ones are dealt with, the table
// is what the guest was told; what the folders hold by now is laid beside it, and each difference
// goes the way of the event that should have told of it. A name that nobody has asked for leaves
// nothing to compare with: it is new if the file's times say so, where an event too many is better
// than one too few. The deepest folders come first, as
// a removed tree's names must be told before the names that lead to it.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "shared/core/log.h"
#include "shared/fuse/wire.h"
#include "wsl-bridge/files/coherence.h"

namespace slipway {
namespace {

FileTime birthOf(const FileFacts& facts)
{
    constexpr std::uint64_t kSecond = 1'000'000'000;
    return {static_cast<std::int64_t>(facts.identity.birthNs / kSecond),
            static_cast<std::uint32_t>(facts.identity.birthNs % kSecond)};
}

}  // namespace

void Coherence::rescan(const std::vector<HostEvent>& heard)
{
    log::warn(
        "files: host events were lost (raise fs.inotify.max_queued_events); all shared folders are "
        "looked through");
    auto overflow = std::find_if(heard.begin(), heard.end(), [](const HostEvent& event) {
        return event.what == What::Overflow;
    });
    FileTime since = overflow->since;
    flushMove();
    // Those of calls under way may still come.
    std::erase_if(m_expected, [this](const auto& entry) {
        Node* directory = m_share.nodes.find(std::get<0>(entry.first));
        return !directory || directory->ownChanges == 0;
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
    std::vector<HostEvent> lost;
    for (const auto& [depth, id] : watched) {
        Node* node = m_share.nodes.find(id);
        if (!node || node->watch() < 0) continue;
        std::ranges::move(lostEvents(*node, since, heard), std::back_inserter(lost));
        m_eventLock->unlock();  // The guest's requests go on.
        m_eventLock->lock();
        if (m_stopping) return;
    }
    m_outbox.everything();  // Not before: the guest forgets much upon it.
    for (const auto& event : lost) onEvent(event);
}

std::vector<HostEvent> Coherence::lostEvents(Node& node, const FileTime& since,
                                             const std::vector<HostEvent>& heard)
{
    std::vector<HostEvent> lost;
    auto raise = [&](What what, const std::string& name, std::uint32_t mode) {
        HostEvent event;
        event.what = what;
        event.watch = node.watch();
        event.isDirectory = (mode & fuse::kTypeMask) == fuse::kTypeDirectory;
        event.name = name;
        lost.push_back(std::move(event));
    };
    auto compare = [&](const Node& known, const FileFacts& facts, const std::string& name) {
        bool isNews =
            known.hasSeen && !known.toldEarly ? !known.isAsSeen(facts) : facts.changed >= since;
        if (!isNews) return;
        if (known.isDirectory()) {
            // Its times change with what is in it too, which raises no event of its own.
            bool byItself = known.mode != facts.mode || facts.changed > facts.modified;
            if (byItself) raise(What::Attributes, name, facts.mode);
        } else {
            bool modified =
                known.toldEarly ? facts.modified >= since : !known.hasSizeAndTimeAsSeen(facts);
            raise(modified ? What::Modified : What::Attributes, name, facts.mode);
        }
    };

    auto handle = m_share.nodes.handleOf(node);
    bool isGone = !handle && (handle.error() == Errno::Stale || handle.error() == Errno::NoEntry);
    if (!handle && !isGone) return {};
    if (!isGone) {
        auto facts = m_share.tree.facts(**handle);
        if (facts && facts->links > 0) compare(node, *facts, "");
    }
    if (!node.isDirectory()) return lost;

    std::set<std::string> present;
    if (!isGone) {
        auto listed = m_share.tree.list(**handle, 0, [&](const DirectoryEntry& entry) {
            if (!entry.isDot()) present.emplace(entry.name);
            return true;
        });
        // A folder that was removed while we had it open can't be listed any more.
        if (!listed && listed.error() != Errno::NoEntry) return lost;
    }
    std::set<std::string_view> told;
    for (const auto& event : heard) {
        if (event.watch != node.watch()) continue;
        bool isThere = event.what != What::Deleted && event.what != What::MovedFrom;
        isThere ? void(told.insert(event.name)) : void(told.erase(event.name));
    }
    auto isExpected = [&](const std::string& name) {
        auto at = m_expected.lower_bound({node.id, name, What{}});
        return at != m_expected.end() && std::get<0>(at->first) == node.id &&
               std::get<1>(at->first) == name;
    };
    for (const auto& name : present) {
        auto facts = m_share.tree.factsOfChild(**handle, name);
        if (!facts || isExpected(name)) continue;
        const Node* known = m_share.nodes.childOf(node.id, name);
        if (known && known->identity == facts->identity) {
            compare(*known, *facts, name);
            continue;
        }
        bool isNew = known || (!told.contains(name) && facts->changed >= since);
        if (!isNew) continue;
        bool isRegular = (facts->mode & fuse::kTypeMask) == fuse::kTypeRegular;
        bool hasBirth = facts->identity.birthNs > 0;
        bool wasThere = !known && hasBirth && birthOf(*facts) < since && facts->modified >= since;
        if (!wasThere) raise(known ? What::MovedTo : What::Created, name, facts->mode);
        if (isRegular && facts->size > 0 && facts->modified >= since)
            raise(What::Modified, name, facts->mode);
    }
    m_share.nodes.forEachChild(node.id, [&](const std::string& name, const Node& child) {
        if (!present.contains(name) && !isExpected(name)) raise(What::Deleted, name, child.mode);
    });
    return lost;
}

}  // namespace slipway
