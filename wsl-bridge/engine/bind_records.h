// How users spelled the host paths of their containers' binds: it can't be computed from the
// machine's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

struct BindRecord {
    std::string destination;  // In the container.
    std::string spelled;      // The host path as the user wrote it.
};

// One small file a container, replaced whole, so that a crash loses at most the one being written.
class BindRecords {
public:
    // Reads what is there. A damaged file is removed: its paths are then shown as the host's own.
    explicit BindRecords(std::filesystem::path dir);

    Result<> put(const std::string& containerId, const std::vector<BindRecord>& binds);
    std::optional<std::string> spelled(const std::string& containerId,
                                       const std::string& destination) const;

    // A moment, for keepOnly(): what is put later is kept by it.
    std::uint64_t now() const { return m_clock; }
    // Forgets the containers that a list asked for at `moment` does not have.
    void keepOnly(const std::set<std::string>& containerIds, std::uint64_t moment);

private:
    struct Entry {
        std::vector<BindRecord> binds;
        std::uint64_t put = 0;
    };
    std::filesystem::path fileOf(const std::string& containerId) const;

    std::filesystem::path m_dir;
    std::map<std::string, Entry> m_entries;
    std::uint64_t m_clock = 0;  // Counts the puts.
};

}  // namespace slipway
