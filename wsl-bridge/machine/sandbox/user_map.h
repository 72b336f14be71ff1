// The user ids of a rootless machine: its root is the user, the rest comes from /etc/subuid.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "shared/core/error.h"

namespace slipway {

struct IdRange {
    unsigned long first = 0;
    unsigned long count = 0;
    friend bool operator==(const IdRange&, const IdRange&) = default;
};

// Fewer ids than that can't hold what images use: "nobody" is 65534.
inline constexpr unsigned long kNeededSubIds = 65535;

// The first large enough range of a user, named or by number, in the text of /etc/subuid or
// /etc/subgid, subuid(5).
std::optional<IdRange> subIdsOf(std::string_view text, const std::string& user, uid_t uid);

// An error says what to install or to add.
struct UserMap {
    IdRange uids;
    IdRange gids;
};
Result<UserMap> userMapOfThisUser();

// Gives the process, which is in a user namespace of its own, its map.
Result<> applyUserMap(const UserMap& map, pid_t pid);

}  // namespace slipway
