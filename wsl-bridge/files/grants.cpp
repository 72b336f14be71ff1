#include "wsl-bridge/files/grants.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"

namespace slipway {
namespace {

bool isBelow(std::string_view path, std::string_view ancestor)
{
    return path.size() > ancestor.size() && path.starts_with(ancestor) &&
           path[ancestor.size()] == '/';
}

}  // namespace

Result<Grants> Grants::load(std::filesystem::path file)
{
    Grants grants(std::move(file));
    std::ifstream in(grants.m_file, std::ios::binary);
    if (!in) {
        if (!std::filesystem::exists(grants.m_file)) return grants;
        return fail(Code::PermissionDenied,
                    fmt::format("read {}: not readable", grants.m_file.string()));
    }
    for (std::string path; std::getline(in, path, '\0');) {
        if (!path.empty()) grants.m_paths.insert(path);
    }
    return grants;
}

Result<> Grants::add(const std::string& path)
{
    auto cover = coverOf(path);
    if (cover == Cover::Granted || cover == Cover::Inside) return {};
    auto paths = m_paths;
    std::erase_if(paths, [&](const std::string& other) { return isBelow(other, path); });
    paths.insert(path);

    // Zero-ended, as a path may hold any other byte.
    auto fresh = m_file;
    fresh += ".new";
    {
        std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
        for (const auto& each : paths) out << each << '\0';
        out.close();
        if (!out)
            return fail(Code::Unavailable,
                        fmt::format("write {}: disk full or not writable", fresh.string()));
    }
    TRY_VOID(giveToFolderOwner(fresh));
    std::error_code error;
    std::filesystem::rename(fresh, m_file, error);
    if (error)
        return fail(Code::Unavailable,
                    fmt::format("write {}: {}", m_file.string(), error.message()));
    m_paths = std::move(paths);
    return {};
}

Grants::Cover Grants::coverOf(std::string_view path) const
{
    bool ancestor = path.empty();
    for (const auto& grant : m_paths) {
        if (grant == path) return Cover::Granted;
        if (isBelow(path, grant)) return Cover::Inside;
        ancestor = ancestor || isBelow(grant, path);
    }
    return ancestor ? Cover::Ancestor : Cover::None;
}

std::vector<std::string> Grants::childrenOf(std::string_view ancestor) const
{
    std::set<std::string> names;
    for (const auto& grant : m_paths) {
        if (!isBelow(grant, ancestor)) continue;
        auto rest = std::string_view(grant).substr(ancestor.size() + 1);
        names.emplace(rest.substr(0, rest.find('/')));
    }
    return {std::make_move_iterator(names.begin()), std::make_move_iterator(names.end())};
}

}  // namespace slipway
