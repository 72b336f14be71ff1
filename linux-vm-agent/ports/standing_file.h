// The claims that stand, for an agent that is started anew.
#pragma once

#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include "linux-vm-agent/ports/claim_table.h"

namespace slipway {

// A line is added for each change, so that a thousand ports cost no more each than one does; when
// most lines are of no use any more, the file is written anew. A kill in between loses nothing.
class StandingFile {
public:
    explicit StandingFile(std::filesystem::path path) : m_path(std::move(path)) {}

    std::vector<ClaimTable::Standing> read();  // Once, before all else.
    void add(const ClaimTable::Standing& claim);
    void remove(Lease lease);

private:
    void append(const std::string& line);
    void writeAnew(const std::vector<ClaimTable::Standing>& claims);
    std::vector<ClaimTable::Standing> parse() const;
    void complain(const char* why);

    std::filesystem::path m_path;
    std::ofstream m_file;
    std::size_t m_lines = 0;
    std::set<Lease> m_standing;
};

}  // namespace slipway
