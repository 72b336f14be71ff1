// How users spelled the host paths of their binds: it can't be computed from the machine's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "shared/paths/host_path.h"

namespace slipway {

struct BindRecord {
    std::string destination;  // In the container; empty for a volume of its own.
    std::string machine;      // The path that the engine was given.
    std::string spelled;      // The host path as the user wrote it.
};

// An id, or what dockerd allows as a name: fits a file's name and a request's path.
bool isPlainName(std::string_view text);

// What `rest` begins with, if it is a machine path of `binds` or a path below one: the longest.
std::optional<KnownPath> knownPathAt(const std::vector<BindRecord>& binds, std::string_view rest);

// Those of the containers, of the services or of the volumes: one small file a thing, replaced
// whole, so that a crash loses at most the one being written.
class BindRecords {
public:
    // Reads what is there. A damaged file is removed: its paths are then shown as the host's own.
    explicit BindRecords(std::filesystem::path dir);

    // In addition to what is known of the thing: an engine may keep the binds it had before.
    Result<> put(const std::string& id, const std::vector<BindRecord>& binds);
    std::optional<std::string> spelled(const std::string& id, const std::string& destination,
                                       const std::string& machine) const;
    std::optional<KnownPath> knownPathAt(std::string_view rest) const;  // Of whatever thing.
    bool empty() const { return m_entries.empty(); }

    // A moment, for keepOnly(): what is put later is kept by it.
    std::uint64_t now() const { return m_clock; }
    // Forgets the things that a list asked for at `moment` does not have.
    void keepOnly(const std::set<std::string>& ids, std::uint64_t moment);

private:
    struct Entry {
        std::vector<BindRecord> binds;
        std::uint64_t put = 0;
    };
    std::filesystem::path fileOf(const std::string& id) const;

    std::filesystem::path m_dir;
    std::map<std::string, Entry> m_entries;
    std::uint64_t m_clock = 0;  // Counts the puts.
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
