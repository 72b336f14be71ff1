#include "wsl-bridge/files/node_store.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <unordered_map>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::uint64_t kMagic = 0x31736465'6f6e7773;  // "swnodes1"
constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kSlotBytes = 128;
constexpr std::size_t kGrowBytes = 256 * 1024;
constexpr std::size_t kMaxBytes = std::size_t{4} << 30;  // 33 million nodes.
constexpr std::uint32_t kFree = 0, kHead = 1, kMore = 2;
constexpr std::uint32_t kVirtualFlag = 1;

template <class T>
void storeLast(T& word, T value)
{
    std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

}  // namespace

struct NodeStore::Header {
    std::uint64_t magic;
    std::uint64_t lastId;
    std::uint64_t lastSequence;
    std::uint64_t flags;
    std::uint32_t minor;
};

struct NodeStore::Slot {
    struct Head {
        std::uint64_t id, parent, lookups, sequence;
        Identity identity;
        std::uint32_t mode, flags, nameBytes;
        char name[kSlotBytes - 8 - 32 - sizeof(Identity) - 12];
    };

    std::uint32_t state;
    std::uint32_t next;  // Where the name goes on; 0: here it ends.
    union {
        Head head;
        char more[kSlotBytes - 8];
    };
};

Result<std::unique_ptr<NodeStore>> NodeStore::open(const std::filesystem::path& file)
{
    TRY(auto mapped, mapFile(file, kHeaderBytes + kGrowBytes, kMaxBytes));
    return std::unique_ptr<NodeStore>(new NodeStore(std::move(mapped)));
}

NodeStore::NodeStore(std::unique_ptr<MappedFile> file) : m_file(std::move(file))
{
    static_assert(sizeof(Slot) == kSlotBytes && sizeof(Header) <= kHeaderBytes);
    if (header().magic != kMagic) clear();
}

NodeStore::Header& NodeStore::header() const
{
    return *reinterpret_cast<Header*>(m_file->data());
}

NodeStore::Slot& NodeStore::slot(std::uint32_t index) const
{
    CHECK(index > 0 && index <= slotCount());
    return *reinterpret_cast<Slot*>(m_file->data() + kHeaderBytes + (index - 1) * kSlotBytes);
}

std::uint32_t NodeStore::slotCount() const
{
    return static_cast<std::uint32_t>((m_file->size() - kHeaderBytes) / kSlotBytes);
}

void NodeStore::clear()
{
    storeLast(header().magic, std::uint64_t{0});
    std::memset(m_file->data() + kHeaderBytes, 0, m_file->size() - kHeaderBytes);
    header().lastId = 1;  // The root's, which the kernel gives itself.
    header().lastSequence = 0;
    header().flags = 0;
    header().minor = 0;
    storeLast(header().magic, kMagic);
    m_free.clear();
    m_fresh = 1;
    m_full = false;
}

std::vector<NodeRecord> NodeStore::load()
{
    struct Found {
        NodeRecord record;
        std::uint64_t sequence;
    };
    std::unordered_map<std::uint64_t, Found> newest;
    std::vector<std::uint32_t> outdated;
    std::vector<bool> used(slotCount() + 1, false);

    for (std::uint32_t index = 1; index <= slotCount(); ++index) {
        const Slot& at = slot(index);
        if (at.state != kHead || at.head.nameBytes > 65536) continue;
        NodeRecord record;
        record.id = at.head.id;
        record.parent = at.head.parent;
        record.lookups = at.head.lookups;
        record.identity = at.head.identity;
        record.mode = at.head.mode;
        record.isVirtual = (at.head.flags & kVirtualFlag) != 0;
        record.slot = index;
        std::size_t left = at.head.nameBytes;
        record.name.assign(at.head.name, std::min(left, sizeof at.head.name));
        left -= record.name.size();
        for (std::uint32_t next = at.next; left > 0 && next > 0 && next <= slotCount();
             next = slot(next).next) {
            std::size_t take = std::min(left, sizeof at.more);
            record.name.append(slot(next).more, take);
            left -= take;
        }
        header().lastId = std::max(header().lastId, record.id);
        auto [known, added] = newest.try_emplace(record.id, Found{record, at.head.sequence});
        if (added) continue;
        bool newer = at.head.sequence > known->second.sequence;
        outdated.push_back(newer ? known->second.record.slot : index);
        if (newer) known->second = {record, at.head.sequence};
    }
    for (auto index : outdated) storeLast(slot(index).state, kFree);

    std::vector<NodeRecord> records;
    for (auto& [id, found] : newest) {
        for (std::uint32_t at = found.record.slot; at > 0 && at <= slotCount() && !used[at];
             at = slot(at).next)
            used[at] = true;
        records.push_back(std::move(found.record));
    }
    m_free.clear();
    m_fresh = slotCount() + 1;
    for (std::uint32_t index = slotCount(); index > 0; --index) {
        if (used[index]) continue;
        slot(index).state = kFree;
        m_free.push_back(index);
    }
    return records;
}

std::uint32_t NodeStore::takeSlot()
{
    if (!m_free.empty()) {
        auto index = m_free.back();
        m_free.pop_back();
        return index;
    }
    if (m_fresh > slotCount()) {
        auto grown = m_file->grow(m_file->size() + kGrowBytes);
        if (!grown) {
            if (!m_full) {
                log::warn(
                    "files: {}; containers may lose shared files if the bridge restarts: free disk "
                    "space",
                    grown.error().message);
            }
            m_full = true;
            return 0;
        }
        m_full = false;
    }
    return m_fresh++;
}

std::uint32_t NodeStore::put(const NodeRecord& record)
{
    constexpr std::size_t kInHead = sizeof(Slot::head.name);
    constexpr std::size_t kInMore = sizeof(Slot::more);

    // The tail of a long name first, so that every slot that is pointed at is filled.
    std::uint32_t next = 0;
    std::size_t inTail = record.name.size() > kInHead ? record.name.size() - kInHead : 0;
    std::size_t pieces = (inTail + kInMore - 1) / kInMore;
    for (std::size_t piece = pieces; piece-- > 0;) {
        auto index = takeSlot();
        if (index == 0) break;
        Slot& more = slot(index);
        auto part = record.name.substr(kInHead + piece * kInMore, kInMore);
        std::memcpy(more.more, part.data(), part.size());
        more.next = next;
        storeLast(more.state, kMore);
        next = index;
    }
    auto index = takeSlot();
    if (index == 0) return record.slot;
    Slot& to = slot(index);
    to.next = next;
    to.head.id = record.id;
    to.head.parent = record.parent;
    to.head.lookups = record.lookups;
    to.head.sequence = ++header().lastSequence;
    to.head.identity = record.identity;
    to.head.mode = record.mode;
    to.head.flags = record.isVirtual ? kVirtualFlag : 0;
    to.head.nameBytes = static_cast<std::uint32_t>(record.name.size());
    std::memcpy(to.head.name, record.name.data(), std::min(record.name.size(), kInHead));
    storeLast(to.state, kHead);
    if (record.slot) erase(record.slot);
    return index;
}

void NodeStore::setLookups(std::uint32_t index, std::uint64_t lookups)
{
    if (index) storeLast(slot(index).head.lookups, lookups);
}

void NodeStore::erase(std::uint32_t index)
{
    while (index != 0) {
        Slot& gone = slot(index);
        storeLast(gone.state, kFree);
        m_free.push_back(index);
        index = gone.next;
    }
}

std::uint64_t NodeStore::newId()
{
    storeLast(header().lastId, header().lastId + 1);
    return header().lastId;
}

KernelSession NodeStore::session() const
{
    return {header().minor, header().flags};
}

void NodeStore::setSession(const KernelSession& session)
{
    header().flags = session.flags;
    storeLast(header().minor, session.minor);
}

}  // namespace slipway
