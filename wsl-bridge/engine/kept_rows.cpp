#include "wsl-bridge/engine/kept_rows.h"

#include <algorithm>
#include <cctype>
#include <system_error>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/core/small_file.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<KeptRows::Rows> readRows(const fs::path& file)
{
    TRY(auto json, parseJson(readFile(file).value_or(""), file.string()));
    auto malformed = [&] {
        return fail(Code::DataLoss, file.string() + ": not rows of three texts");
    };
    if (!json.is_array()) return malformed();
    KeptRows::Rows rows;
    for (const auto& value : json.as_array()) {
        KeptRows::Row row;
        if (!value.is_array() || value.as_array().size() != row.size()) return malformed();
        const auto& texts = value.as_array();
        if (!std::all_of(texts.begin(), texts.end(), [](const auto& v) { return v.is_string(); }))
            return malformed();
        for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::string(texts[i].as_string());
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string toJson(const KeptRows::Rows& rows)
{
    boost::json::array json;
    for (const KeptRows::Row& row : rows)
        json.emplace_back(boost::json::array(row.begin(), row.end()));
    return boost::json::serialize(json);
}

}  // namespace

bool isPlainName(std::string_view text)
{
    auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
    };
    return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), plain);
}

KeptRows::KeptRows(fs::path dir) : m_dir(std::move(dir))
{
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(m_dir, failed)) {
        if (entry.path().extension() == ".new") {
            fs::remove(entry.path(), failed);
            continue;
        }
        if (entry.path().extension() != ".json") continue;
        auto rows = readRows(entry.path());
        if (rows) {
            m_entries[entry.path().stem().string()] = {std::move(*rows), 0};
            continue;
        }
        log::warn("endpoint: {}; removed", rows.error().message);
        fs::remove(entry.path(), failed);
    }
}

Result<> KeptRows::put(const std::string& id, Rows rows)
{
    if (!isPlainName(id)) return fail(Code::InvalidArgument, fmt::format("\"{}\" is no id", id));
    Entry& entry = m_entries[id];
    entry = {std::move(rows), ++m_clock};
    std::error_code failed;
    fs::create_directories(m_dir, failed);
    if (failed)
        return fail(Code::Unavailable,
                    fmt::format("mkdir {}: {}", m_dir.string(), failed.message()));
    TRY_VOID(giveToFolderOwner(m_dir));
    return replaceFile(fileOf(id), toJson(entry.rows));
}

const KeptRows::Rows& KeptRows::of(const std::string& id) const
{
    static const Rows kNone;
    auto found = m_entries.find(id);
    return found == m_entries.end() ? kNone : found->second.rows;
}

void KeptRows::forEach(const std::function<void(const Rows&)>& seen) const
{
    for (const auto& [id, entry] : m_entries) seen(entry.rows);
}

void KeptRows::keepOnly(const std::set<std::string>& ids, std::uint64_t moment)
{
    std::erase_if(m_entries, [&](const auto& entry) {
        if (entry.second.put > moment || ids.contains(entry.first)) return false;
        std::error_code ignored;  // A file that stays is read, and removed, the next time.
        fs::remove(fileOf(entry.first), ignored);
        return true;
    });
}

fs::path KeptRows::fileOf(const std::string& id) const
{
    return m_dir / (id + ".json");
}

}  // namespace slipway
