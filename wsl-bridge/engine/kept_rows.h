// What is kept about the engine's things for longer than the bridge lives.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

// An id, or what dockerd allows as a name: fits a file's name and a request's path.
bool isPlainName(std::string_view text);

// Rows of three texts: one small file a thing, replaced whole, so that a crash loses at most the
// one being written.
class KeptRows {
public:
    using Row = std::array<std::string, 3>;
    using Rows = std::vector<Row>;

    // Reads what is there. A damaged file is removed.
    explicit KeptRows(std::filesystem::path dir);

    Result<> put(const std::string& id, Rows rows);  // In place of what was kept of it.
    const Rows& of(const std::string& id) const;     // None, if nothing is kept.
    void forEach(const std::function<void(const Rows&)>& seen) const;
    bool empty() const { return m_entries.empty(); }

    // A moment, for keepOnly(): what is put later is kept by it.
    std::uint64_t now() const { return m_clock; }
    // Forgets the things that a list asked for at `moment` does not have.
    void keepOnly(const std::set<std::string>& ids, std::uint64_t moment);

private:
    struct Entry {
        Rows rows;
        std::uint64_t put = 0;
    };
    std::filesystem::path fileOf(const std::string& id) const;

    std::filesystem::path m_dir;
    std::map<std::string, Entry> m_entries;
    std::uint64_t m_clock = 0;  // Counts the puts.
};

}  // namespace slipway
