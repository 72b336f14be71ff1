// How users spelled the host paths of their binds: it can't be computed from the machine's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/kept_rows.h"
#include "wsl-bridge/engine/port_requests.h"

namespace slipway {

struct BindRecord {
    std::string destination;  // In the container; empty for a volume of its own.
    std::string machine;      // The path that the engine was given.
    std::string spelled;      // The host path as the user wrote it.
};

// What `rest` begins with, if it is a machine path of `binds` or a path below one: the longest.
std::optional<KnownPath> knownPathAt(const std::vector<BindRecord>& binds, std::string_view rest);

// Those of the containers, of the services or of the volumes, by their ids. Of a damaged record the
// paths are shown as the host's own.
class BindRecords {
public:
    explicit BindRecords(std::filesystem::path dir) : m_rows(std::move(dir)) {}

    // In addition to what is known of the thing: an engine may keep the binds it had before.
    Result<> put(const std::string& id, const std::vector<BindRecord>& binds);
    std::optional<std::string> spelled(const std::string& id, const std::string& destination,
                                       const std::string& machine) const;
    std::optional<KnownPath> knownPathAt(std::string_view rest) const;  // Of whatever thing.
    bool empty() const { return m_rows.empty(); }

    std::uint64_t now() const { return m_rows.now(); }  // See KeptRows.
    void keepOnly(const std::set<std::string>& ids, std::uint64_t moment)
    {
        m_rows.keepOnly(ids, moment);
    }

private:
    KeptRows m_rows;
};

// What swarm puts on a service's containers.
inline constexpr std::string_view kServiceLabel = "com.docker.swarm.service.id";

// Whose a bind is: a container's, that may be a service's as well; or a volume's.
struct BindOwner {
    std::string container;
    std::string service;
    std::string volume;
};

struct Records {
    BindRecords containers;
    BindRecords services;
    BindRecords volumes;
    PortRequests ports;

    explicit Records(const std::filesystem::path& dir);
    void forgetAll();

    // A bind's source as the user knows it: as recorded, else the host's own name of it, else
    // unchanged.
    std::string shown(const BindOwner& owner, std::string_view destination,
                      const std::string& machine) const;
    // A message with the machine's names of host paths replaced by the user's: those of `first`,
    // then those of any thing.
    std::string shownIn(std::string_view message, const std::vector<BindRecord>& first) const;
};

}  // namespace slipway
