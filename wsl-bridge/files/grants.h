// Which host paths the machine may see. A grant is a file or a folder with everything below it.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

// Paths are absolute, normal and without a slash at the end; "" is the root. Not thread-safe.
class Grants {
public:
    enum class Cover { None, Ancestor, Granted, Inside };

    // Reads what add() has kept in `file`, if there is one.
    static Result<Grants> load(std::filesystem::path file);

    // Kept on disk once this returns. Grants below the new one are part of it from then on.
    Result<> add(const std::string& path);

    Cover coverOf(std::string_view path) const;
    std::vector<std::string> childrenOf(std::string_view ancestor) const;  // Names, sorted.
    const std::set<std::string, std::less<>>& all() const { return m_paths; }

private:
    explicit Grants(std::filesystem::path file) : m_file(std::move(file)) {}

    std::filesystem::path m_file;
    std::set<std::string, std::less<>> m_paths;
};

}  // namespace slipway
