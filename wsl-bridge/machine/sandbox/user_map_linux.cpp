#include "wsl-bridge/machine/sandbox/user_map.h"

#include <cerrno>
#include <sstream>

#include <pwd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/number.h"
#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"

namespace slipway {
namespace {

constexpr auto kToolTimeout = std::chrono::seconds(10);

Result<IdRange> rangeIn(const char* file, const std::string& user)
{
    if (auto range = subIdsOf(readText(file), user, ::geteuid())) return *range;
    return fail(Code::FailedPrecondition,
                fmt::format("{} grants {} no {} ids; as root: usermod --add-subuids 100000-165535 "
                            "--add-subgids 100000-165535 {}",
                            file, user, kNeededSubIds, user));
}

Result<> writeMap(const char* tool, pid_t pid, unsigned long own, const IdRange& range)
{
    Command command;
    command.program = tool;
    command.args = {
        std::to_string(pid),        "0", std::to_string(own), "1", "1", std::to_string(range.first),
        std::to_string(range.count)};
    auto mapped = outputOf(command, kToolTimeout);
    if (mapped) return {};
    auto error = std::move(mapped).error();
    if (error.code == Code::NotFound) error.message += ": apt-get install uidmap";
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace

std::optional<IdRange> subIdsOf(std::string_view text, const std::string& user, uid_t uid)
{
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string name, first, count;
        if (!std::getline(fields, name, ':') || !std::getline(fields, first, ':') ||
            !std::getline(fields, count)) {
            continue;
        }
        if (name != user && name != std::to_string(uid)) continue;
        auto from = numberIn<unsigned long>(first);
        auto many = numberIn<unsigned long>(count);
        if (from && many && *many >= kNeededSubIds) return IdRange{*from, *many};
    }
    return std::nullopt;
}

Result<UserMap> userMapOfThisUser()
{
    const passwd* entry = ::getpwuid(::geteuid());
    if (!entry) {
        return fail(Code::NotFound,
                    fmt::format("user {} is not in the password file", ::geteuid()));
    }
    std::string user = entry->pw_name;
    TRY(auto uids, rangeIn("/etc/subuid", user));
    TRY(auto gids, rangeIn("/etc/subgid", user));
    return UserMap{uids, gids};
}

Result<> applyUserMap(const UserMap& map, pid_t pid)
{
    TRY_VOID(writeMap("newuidmap", pid, ::geteuid(), map.uids));
    return writeMap("newgidmap", pid, ::getegid(), map.gids);
}

}  // namespace slipway
