#include "wsl-bridge/engine/bind_records.h"

#include <algorithm>
#include <cctype>
#include <system_error>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/core/small_file.h"
#include "shared/json/json.h"
#include "wsl-bridge/engine/bind_spec.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<std::vector<BindRecord>> readRecord(const fs::path& file)
{
    TRY(auto json, parseJson(readFile(file).value_or(""), file.string()));
    auto malformed = [&] {
        return fail(Code::DataLoss, file.string() + ": not a record of binds");
    };
    if (!json.is_array()) return malformed();
    std::vector<BindRecord> binds;
    for (const auto& bind : json.as_array()) {
        if (!bind.is_array() || bind.as_array().size() != 3) return malformed();
        const auto& texts = bind.as_array();
        if (!std::all_of(texts.begin(), texts.end(), [](const auto& v) { return v.is_string(); }))
            return malformed();
        auto at = [&](std::size_t i) { return std::string(texts[i].as_string()); };
        binds.push_back({at(0), at(1), at(2)});
    }
    return binds;
}

std::string toJson(const std::vector<BindRecord>& binds)
{
    boost::json::array json;
    for (const BindRecord& bind : binds)
        json.push_back(boost::json::array{bind.destination, bind.machine, bind.spelled});
    return boost::json::serialize(json);
}

bool same(const BindRecord& a, const BindRecord& b)
{
    return a.destination == b.destination && a.machine == b.machine;
}

std::optional<KnownPath> longer(std::optional<KnownPath> a, std::optional<KnownPath> b)
{
    return !a || (b && b->length > a->length) ? b : a;
}

}  // namespace

bool isPlainName(std::string_view text)
{
    auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
    };
    return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), plain);
}

std::optional<KnownPath> knownPathAt(const std::vector<BindRecord>& binds, std::string_view rest)
{
    std::optional<KnownPath> found;
    for (const BindRecord& bind : binds) {
        std::size_t length = bind.machine.size();
        if (!rest.starts_with(bind.machine)) continue;
        if (rest.size() > length && rest[length] != '/' && canBePartOfAName(rest[length])) continue;
        found = longer(std::move(found), KnownPath{length, bind.spelled});
    }
    return found;
}

BindRecords::BindRecords(fs::path dir) : m_dir(std::move(dir))
{
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(m_dir, failed)) {
        if (entry.path().extension() == ".new") {
            fs::remove(entry.path(), failed);
            continue;
        }
        if (entry.path().extension() != ".json") continue;
        auto binds = readRecord(entry.path());
        if (binds) {
            m_entries[entry.path().stem().string()] = {std::move(*binds), 0};
            continue;
        }
        log::warn("endpoint: {}; removed", binds.error().message);
        fs::remove(entry.path(), failed);
    }
}

Result<> BindRecords::put(const std::string& id, const std::vector<BindRecord>& binds)
{
    if (!isPlainName(id)) return fail(Code::InvalidArgument, fmt::format("\"{}\" is no id", id));
    Entry& entry = m_entries[id];
    entry.put = ++m_clock;
    for (const BindRecord& bind : binds) {
        std::erase_if(entry.binds, [&](const BindRecord& old) { return same(old, bind); });
        entry.binds.push_back(bind);
    }
    std::error_code failed;
    fs::create_directories(m_dir, failed);
    if (failed)
        return fail(Code::Unavailable,
                    fmt::format("mkdir {}: {}", m_dir.string(), failed.message()));
    TRY_VOID(giveToFolderOwner(m_dir));
    return replaceFile(fileOf(id), toJson(entry.binds));
}

std::optional<std::string> BindRecords::spelled(const std::string& id,
                                                const std::string& destination,
                                                const std::string& machine) const
{
    auto found = m_entries.find(id);
    if (found == m_entries.end()) return std::nullopt;
    for (const BindRecord& bind : found->second.binds)
        if (bind.destination == destination && bind.machine == machine) return bind.spelled;
    return std::nullopt;
}

std::optional<KnownPath> BindRecords::knownPathAt(std::string_view rest) const
{
    std::optional<KnownPath> found;
    for (const auto& [id, entry] : m_entries)
        found = longer(std::move(found), slipway::knownPathAt(entry.binds, rest));
    return found;
}

void BindRecords::keepOnly(const std::set<std::string>& ids, std::uint64_t moment)
{
    std::erase_if(m_entries, [&](const auto& entry) {
        if (entry.second.put > moment || ids.contains(entry.first)) return false;
        std::error_code ignored;  // A file that stays is read, and removed, the next time.
        fs::remove(fileOf(entry.first), ignored);
        return true;
    });
}

fs::path BindRecords::fileOf(const std::string& id) const
{
    return m_dir / (id + ".json");
}

Records::Records(const fs::path& dir)
    : containers(dir), services(dir / "services"), volumes(dir / "volumes")
{
}

void Records::forgetAll()
{
    for (BindRecords* kind : {&containers, &services, &volumes}) kind->keepOnly({}, kind->now());
}

std::string Records::shown(const BindOwner& owner, std::string_view destination,
                           const std::string& machine) const
{
    auto host = toHostPath(machine);
    bool socket = machine == kDockerSocketInMachine;
    if (!host && !socket) return machine;
    std::string place = tidyDestination(destination);
    if (auto own = containers.spelled(owner.container, place, machine)) return *own;
    if (auto own = services.spelled(owner.service, place, machine)) return *own;
    if (auto own = volumes.spelled(owner.volume, place, machine)) return *own;
    return socket ? "/var/run/docker.sock" : *host;
}

std::string Records::shownIn(std::string_view message, const std::vector<BindRecord>& first) const
{
    return withHostPaths(message, [&](std::string_view rest) {
        auto found = knownPathAt(first, rest);
        for (const BindRecords* all : {&containers, &services, &volumes})
            if (!found) found = all->knownPathAt(rest);
        return found;
    });
}

}  // namespace slipway
