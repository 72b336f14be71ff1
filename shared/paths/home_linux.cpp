#include "shared/paths/home.h"

#include <cerrno>
#include <cstdlib>
#include <optional>

#include <pwd.h>
#include <unistd.h>

#include <fmt/format.h>

namespace slipway {
namespace {

constexpr std::size_t kMaxSocketPathBytes = 107;  // sun_path without its zero, unix(7).

std::optional<uid_t> uidUnderSudo()
{
    const char* uid = std::getenv("SUDO_UID");
    if (::geteuid() != 0 || !uid) return std::nullopt;
    char* end = nullptr;
    errno = 0;
    unsigned long value = std::strtoul(uid, &end, 10);
    if (errno || end == uid || *end) return std::nullopt;
    return static_cast<uid_t>(value);
}

}  // namespace

Result<User> invokingUser()
{
    auto sudo = uidUnderSudo();
    uid_t uid = sudo.value_or(::geteuid());
    errno = 0;
    const passwd* entry = ::getpwuid(uid);
    if (!entry)
        return fail(Code::NotFound, fmt::format("user {} is not in the password file", uid));
    User user{uid, entry->pw_gid, entry->pw_name, entry->pw_dir};
    const char* home = std::getenv("HOME");
    if (!sudo && home && *home) user.home = home;
    return user;
}

std::string Home::instanceName() const
{
    auto user = invokingUser();
    if (user && root == user->home / ".slipway") return "slipway";
    std::string name = "slipway-";
    for (char c : root.filename().string()) {
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '_' || c == '-';
        name += plain ? c : '-';
    }
    return name;
}

Result<Home> slipwayHome()
{
    std::filesystem::path path;
    if (const char* set = std::getenv("SLIPWAY_HOME"); set && *set) {
        path = set;
    } else {
        TRY(auto user, invokingUser());
        path = user.home / ".slipway";
    }
    std::error_code failed;
    auto whole = std::filesystem::weakly_canonical(std::filesystem::absolute(path), failed);
    if (failed)
        return fail(Code::InvalidArgument,
                    fmt::format("SLIPWAY_HOME {}: {}", path.string(), failed.message()));
    if (!whole.has_filename()) whole = whole.parent_path();
    Home home{whole};
    std::size_t length = home.tunnelSocket().string().size();
    if (length > kMaxSocketPathBytes)
        return fail(
            Code::InvalidArgument,
            fmt::format("SLIPWAY_HOME {} is {} bytes too long: the sockets in it must fit {} "
                        "bytes; set SLIPWAY_HOME to a shorter path",
                        whole.string(), length - kMaxSocketPathBytes, kMaxSocketPathBytes));
    return home;
}

}  // namespace slipway
