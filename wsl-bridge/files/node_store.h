// The nodes that the guest's kernel knows, on disk, so that a restarted bridge still knows them.
//
// Theory of operation. The file is memory-mapped: a page of header, then slots of 128 bytes. A node
// takes one slot, a long name further ones. A slot is filled first and its state word stored last,
// and what is changed is written to a new slot before the old one is freed, so a kill at any
// instant leaves either the old record or the new one, or both, of which the one with the higher
// sequence counts. Counts of lookups are single words, stored in place. Nothing is synced: it is
// the process that may die, and the guest's kernel does not survive a loss of power either.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/mapped_file.h"

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
    explicit NodeStore(std::unique_ptr<MappedFile> file);

    struct Slot;
    struct Header;
    Header& header() const;
    Slot& slot(std::uint32_t index) const;
    std::uint32_t slotCount() const;
    std::uint32_t takeSlot();

    std::unique_ptr<MappedFile> m_file;
    std::vector<std::uint32_t> m_free;
    // From here on no slot was ever used. Number 0 is the header's place.
    std::uint32_t m_fresh = 1;
    bool m_full = false;
};

}  // namespace slipway
