#include "wsl-bridge/engine/bind_records.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<std::vector<BindRecord>> readFile(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    TRY(auto json, parseJson(text, file.string()));
    auto malformed = [&] {
        return fail(Code::DataLoss, file.string() + ": not a record of binds");
    };
    if (!json.is_object()) return malformed();
    std::vector<BindRecord> binds;
    for (const auto& [destination, spelled] : json.as_object()) {
        if (!spelled.is_string()) return malformed();
        binds.push_back({std::string(destination), std::string(spelled.as_string())});
    }
    return binds;
}

Result<> replaceFile(const fs::path& file, const std::string& text)
{
    fs::path fresh = file.parent_path() / (file.filename().string() + ".new");
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return fail(Code::Unavailable, fmt::format("write {}", fresh.string()));
    TRY_VOID(giveToFolderOwner(fresh));
    std::error_code failed;
    fs::rename(fresh, file, failed);
    if (failed)
        return fail(Code::Unavailable,
                    fmt::format("write {}: {}", file.string(), failed.message()));
    return {};
}

}  // namespace

BindRecords::BindRecords(fs::path dir) : m_dir(std::move(dir))
{
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(m_dir, failed)) {
        if (entry.path().extension() == ".new") {
            fs::remove(entry.path(), failed);
            continue;
        }
        if (entry.path().extension() != ".json") continue;
        auto binds = readFile(entry.path());
        if (binds) {
            m_entries[entry.path().stem().string()] = {std::move(*binds), 0};
            continue;
        }
        log::warn("endpoint: {}; removed", binds.error().message);
        fs::remove(entry.path(), failed);
    }
}

Result<> BindRecords::put(const std::string& containerId, const std::vector<BindRecord>& binds)
{
    bool plain = std::all_of(containerId.begin(), containerId.end(),
                             [](char c) { return std::isalnum(static_cast<unsigned char>(c)); });
    if (containerId.empty() || !plain)
        return fail(Code::InvalidArgument, fmt::format("\"{}\" is no container's id", containerId));
    boost::json::object json;
    for (const BindRecord& bind : binds) json[bind.destination] = bind.spelled;
    m_entries[containerId] = {binds, ++m_clock};
    std::error_code failed;
    fs::create_directories(m_dir, failed);
    if (failed)
        return fail(Code::Unavailable,
                    fmt::format("mkdir {}: {}", m_dir.string(), failed.message()));
    TRY_VOID(giveToFolderOwner(m_dir));
    return replaceFile(fileOf(containerId), boost::json::serialize(json));
}

std::optional<std::string> BindRecords::spelled(const std::string& containerId,
                                                const std::string& destination) const
{
    auto found = m_entries.find(containerId);
    if (found == m_entries.end()) return std::nullopt;
    for (const BindRecord& bind : found->second.binds)
        if (bind.destination == destination) return bind.spelled;
    return std::nullopt;
}

void BindRecords::keepOnly(const std::set<std::string>& containerIds, std::uint64_t moment)
{
    std::erase_if(m_entries, [&](const auto& entry) {
        if (entry.second.put > moment || containerIds.contains(entry.first)) return false;
        std::error_code ignored;  // A file that stays is read, and removed, the next time.
        fs::remove(fileOf(entry.first), ignored);
        return true;
    });
}

fs::path BindRecords::fileOf(const std::string& containerId) const
{
    return m_dir / (containerId + ".json");
}

}  // namespace slipway
