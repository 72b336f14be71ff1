// The nodes that the guest's kernel knows, on disk, so that a restarted bridge still knows them.
//
// Theory of operation. The file is a page of header, then slots of 128 bytes. A node takes one
// slot, a long name further ones. A new record is one write, after those of its name's tail, and
// what is changed is written to a new slot before the old one is freed, so a kill at any instant
// leaves either the old record or the new one, or both, of which the one with the higher sequence
// counts. Nothing is synced: it is the process that may die, and the guest's kernel does not
// survive a loss of power either. The file is not mapped, as its pages would be memory of ours.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/record_file.h"

namespace slipway {

struct NodeRecord {
    std::uint64_t id = 0;
    std::uint64_t parent = 0;
    std::uint64_t lookups = 0;
    Identity identity;
    std::uint32_t mode = 0;
    bool isVirtual = false;
    std::string name;
    std::uint32_t slot = 0;
};

// What the guest's kernel said in INIT. `minor` 0: nothing yet.
struct KernelSession {
    std::uint32_t minor = 0;
    std::uint64_t flags = 0;  // Those agreed upon.
};

class NodeStore {
public:
    static Result<std::unique_ptr<NodeStore>> open(const std::filesystem::path& file);

    std::vector<NodeRecord> load();

    // Writes the record; record.slot is the one it had (0: none), the result the one it has now. 0:
    // there is no room on the disk, so that a restarted bridge will not know this node.
    std::uint32_t put(const NodeRecord& record);
    void setLookups(std::uint32_t slot, std::uint64_t lookups);
    void erase(std::uint32_t slot);
    void clear();  // A new kernel connection: no id of the old one means anything.

    std::uint64_t newId();  // Never the same twice within one kernel connection.

    KernelSession session() const;
    void setSession(const KernelSession& session);

private:
    struct Slot;
    struct Header;
    explicit NodeStore(std::unique_ptr<RecordFile> file);

    bool writeHeader();
    // At this offset into the slot; false: there is no room.
    template <class T>
    bool write(std::uint32_t slot, std::size_t offset, const T& value);
    std::uint32_t takeSlot();

    std::unique_ptr<RecordFile> m_file;
    KernelSession m_session;
    std::uint64_t m_lastId = 0;
    std::uint64_t m_idsReserved = 0;  // Up to here, in the file.
    std::uint64_t m_lastSequence = 0;
    std::unordered_map<std::uint32_t, std::uint32_t> m_next;  // Slots of a long name.
    std::vector<std::uint32_t> m_free;
    std::uint32_t m_fresh = 1;  // From here on no slot was ever used. Number 0 is the header's.
    bool m_full = false;
};

}  // namespace slipway
