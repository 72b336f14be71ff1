#include "wsl-bridge/files/node_store.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::uint64_t kMagic = 0x32736465'6f6e7773;  // "swnodes2"
constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kSlotBytes = 128;
constexpr std::uint32_t kMaxNameBytes = 65536;
constexpr std::uint64_t kIdsAtOnce = 1024;
constexpr std::uint32_t kFree = 0, kHead = 1, kMore = 2;
constexpr std::uint32_t kVirtualFlag = 1;

}  // namespace

struct NodeStore::Header {
    std::uint64_t magic;
    std::uint64_t idsReserved;
    std::uint64_t flags;
    std::uint32_t minor;
    std::uint32_t reserved;
};

struct NodeStore::Slot {
    struct Head {
        std::uint64_t id, parent, lookups, sequence;
        std::uint64_t device, inode, birthNs;
        std::uint32_t mode, flags, nameBytes;
        char name[kSlotBytes - 8 - 56 - 12];
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
    TRY(auto opened, openRecordFile(file));
    auto store = std::unique_ptr<NodeStore>(new NodeStore(std::move(opened)));
    TRY(auto bytes, store->m_file->contents());
    Header header{};
    if (bytes.size() >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kMagic) {
        store->clear();
    } else {
        store->m_lastId = store->m_idsReserved = header.idsReserved;
        store->m_session = {header.minor, header.flags};
    }
    return store;
}

NodeStore::NodeStore(std::unique_ptr<RecordFile> file) : m_file(std::move(file))
{
    static_assert(sizeof(Slot) == kSlotBytes && sizeof(Header) <= kHeaderBytes);
}

void NodeStore::clear()
{
    m_session = {};
    m_lastId = m_idsReserved = 1;  // The root's, which the kernel gives itself.
    m_lastSequence = 0;
    m_next.clear();
    m_free.clear();
    m_fresh = 1;
    if (auto cleared = m_file->clear(); !cleared) log::warn("files: {}", cleared.error().message);
    writeHeader();
}

bool NodeStore::writeHeader()
{
    Header header{kMagic, m_idsReserved, m_session.flags, m_session.minor, 0};
    return m_file->write(0, std::as_bytes(std::span(&header, 1))).has_value();
}

template <class T>
bool NodeStore::write(std::uint32_t slot, std::size_t offset, const T& value)
{
    auto place = kHeaderBytes + std::uint64_t{slot - 1} * kSlotBytes + offset;
    auto written = m_file->write(place, std::as_bytes(std::span(&value, 1)));
    if (!written && !m_full) {
        log::warn(
            "files: {}; containers may lose shared files if the bridge restarts: free disk space",
            written.error().message);
    }
    m_full = !written;
    return written.has_value();
}

std::vector<NodeRecord> NodeStore::load()
{
    struct Found {
        NodeRecord record;
        std::uint64_t sequence;
    };
    std::unordered_map<std::uint64_t, Found> newest;
    std::vector<std::uint32_t> outdated;
    std::vector<Slot> slots;
    if (auto bytes = m_file->contents(); bytes && bytes->size() > kHeaderBytes) {
        slots.resize((bytes->size() - kHeaderBytes) / kSlotBytes);
        std::memcpy(slots.data(), bytes->data() + kHeaderBytes, slots.size() * kSlotBytes);
    }
    auto slotCount = static_cast<std::uint32_t>(slots.size());
    auto slot = [&](std::uint32_t index) -> const Slot& { return slots[index - 1]; };

    for (std::uint32_t index = 1; index <= slotCount; ++index) {
        const Slot& at = slot(index);
        if (at.state != kHead || at.head.nameBytes > kMaxNameBytes) continue;
        NodeRecord record;
        record.id = at.head.id;
        record.parent = at.head.parent;
        record.lookups = at.head.lookups;
        record.identity = {at.head.device, at.head.inode, at.head.birthNs};
        record.mode = at.head.mode;
        record.isVirtual = (at.head.flags & kVirtualFlag) != 0;
        record.slot = index;
        std::size_t left = at.head.nameBytes;
        record.name.assign(at.head.name, std::min(left, sizeof at.head.name));
        left -= record.name.size();
        for (std::uint32_t next = at.next; left > 0 && next > 0 && next <= slotCount;
             next = slot(next).next) {
            std::size_t take = std::min(left, sizeof at.more);
            record.name.append(slot(next).more, take);
            left -= take;
        }
        m_lastId = std::max(m_lastId, record.id);
        m_lastSequence = std::max(m_lastSequence, at.head.sequence);
        auto [known, added] = newest.try_emplace(record.id, Found{record, at.head.sequence});
        if (added) continue;
        bool newer = at.head.sequence > known->second.sequence;
        outdated.push_back(newer ? known->second.record.slot : index);
        if (newer) known->second = {record, at.head.sequence};
    }
    for (auto index : outdated) write(index, offsetof(Slot, state), kFree);

    m_next.clear();
    std::vector<bool> used(slotCount + 1, false);
    std::vector<NodeRecord> records;
    for (auto& [id, found] : newest) {
        for (std::uint32_t at = found.record.slot; at > 0 && at <= slotCount && !used[at];
             at = slot(at).next) {
            used[at] = true;
            if (slot(at).next) m_next[at] = slot(at).next;
        }
        records.push_back(std::move(found.record));
    }
    m_free.clear();
    m_fresh = slotCount + 1;
    for (std::uint32_t index = slotCount; index > 0; --index) {
        if (!used[index]) m_free.push_back(index);
    }
    return records;
}

std::uint32_t NodeStore::takeSlot()
{
    if (m_free.empty()) return m_fresh++;
    auto index = m_free.back();
    m_free.pop_back();
    return index;
}

std::uint32_t NodeStore::put(const NodeRecord& record)
{
    constexpr std::size_t kInHead = sizeof(Slot::Head::name);
    constexpr std::size_t kInMore = sizeof(Slot::more);

    // The tail of a long name first, so that every slot that is pointed at is filled.
    std::uint32_t next = 0;
    std::size_t inTail = record.name.size() > kInHead ? record.name.size() - kInHead : 0;
    std::size_t pieces = (inTail + kInMore - 1) / kInMore;
    bool written = true;
    auto add = [&](Slot& slot) {
        auto index = takeSlot();
        slot.next = next;
        if (next) m_next[index] = next;
        written = written && write(index, 0, slot);
        next = index;
    };
    for (std::size_t piece = pieces; piece-- > 0;) {
        Slot more{};
        more.state = kMore;
        auto part = record.name.substr(kInHead + piece * kInMore, kInMore);
        std::memcpy(more.more, part.data(), part.size());
        add(more);
    }
    Slot head{};
    head.state = kHead;
    head.head.id = record.id;
    head.head.parent = record.parent;
    head.head.lookups = record.lookups;
    head.head.sequence = ++m_lastSequence;
    head.head.device = record.identity.device;
    head.head.inode = record.identity.inode;
    head.head.birthNs = record.identity.birthNs;
    head.head.mode = record.mode;
    head.head.flags = record.isVirtual ? kVirtualFlag : 0;
    head.head.nameBytes = static_cast<std::uint32_t>(record.name.size());
    std::memcpy(head.head.name, record.name.data(), std::min(record.name.size(), kInHead));
    add(head);
    erase(written ? record.slot : next);
    return written ? next : record.slot;
}

void NodeStore::setLookups(std::uint32_t index, std::uint64_t lookups)
{
    if (index) write(index, offsetof(Slot, head) + offsetof(Slot::Head, lookups), lookups);
}

void NodeStore::erase(std::uint32_t index)
{
    if (index == 0) return;
    write(index, offsetof(Slot, state), kFree);
    while (index != 0) {
        m_free.push_back(index);
        auto more = m_next.extract(index);
        index = more ? more.mapped() : 0;
    }
}

std::uint64_t NodeStore::newId()
{
    if (++m_lastId > m_idsReserved) {
        m_idsReserved = m_lastId + kIdsAtOnce;
        writeHeader();
    }
    return m_lastId;
}

KernelSession NodeStore::session() const
{
    return m_session;
}

void NodeStore::setSession(const KernelSession& session)
{
    m_session = session;
    writeHeader();
}

}  // namespace slipway
