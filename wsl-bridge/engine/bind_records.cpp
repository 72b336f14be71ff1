#include "wsl-bridge/engine/bind_records.h"

#include <algorithm>

#include "wsl-bridge/engine/bind_spec.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

std::vector<BindRecord> toBinds(const KeptRows::Rows& rows)
{
    std::vector<BindRecord> binds;
    for (const auto& [destination, machine, spelled] : rows)
        binds.push_back({destination, machine, spelled});
    return binds;
}

std::optional<KnownPath> longer(std::optional<KnownPath> a, std::optional<KnownPath> b)
{
    return !a || (b && b->length > a->length) ? b : a;
}

}  // namespace

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

Result<> BindRecords::put(const std::string& id, const std::vector<BindRecord>& binds)
{
    KeptRows::Rows rows = m_rows.of(id);
    for (const BindRecord& bind : binds) {
        std::erase_if(rows, [&](const auto& old) {
            return old[0] == bind.destination && old[1] == bind.machine;
        });
        rows.push_back({bind.destination, bind.machine, bind.spelled});
    }
    return m_rows.put(id, std::move(rows));
}

std::optional<std::string> BindRecords::spelled(const std::string& id,
                                                const std::string& destination,
                                                const std::string& machine) const
{
    for (const BindRecord& bind : toBinds(m_rows.of(id)))
        if (bind.destination == destination && bind.machine == machine) return bind.spelled;
    return std::nullopt;
}

std::optional<KnownPath> BindRecords::knownPathAt(std::string_view rest) const
{
    std::optional<KnownPath> found;
    m_rows.forEach([&](const KeptRows::Rows& rows) {
        found = longer(std::move(found), slipway::knownPathAt(toBinds(rows), rest));
    });
    return found;
}

Records::Records(const fs::path& dir)
    : containers(dir), services(dir / "services"), volumes(dir / "volumes"), ports(dir / "ports")
{
}

void Records::forgetAll()
{
    for (BindRecords* kind : {&containers, &services, &volumes}) kind->keepOnly({}, kind->now());
    ports.keepOnly({}, ports.now());
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
