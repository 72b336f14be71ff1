#include "tests/support/test_user.h"

#include <cstdio>

#include <pwd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"

namespace slipway::test {
namespace {

namespace fs = std::filesystem;

Result<std::string> tool(const std::string& program, std::vector<std::string> args)
{
    Command command;
    command.program = program;
    command.args = std::move(args);
    return outputOf(command, std::chrono::seconds(20));
}

}  // namespace

Result<std::unique_ptr<TestUser>> TestUser::make()
{
    std::unique_ptr<TestUser> user(new TestUser);
    user->m_name = fmt::format("slipway-test-{}", ::getpid());
    TRY_VOID(tool("/usr/sbin/useradd", {"--no-create-home", "--home-dir", user->home().string(),
                                        "--user-group", user->m_name}));
    const passwd* entry = ::getpwnam(user->m_name.c_str());
    if (!entry) return fail(Code::Internal, "useradd made no user");
    user->m_uid = entry->pw_uid;
    user->m_gid = entry->pw_gid;
    user->own(user->home());
    user->open("/dev/net/tun");
    user->open("/dev/fuse");
    return user;
}

TestUser::~TestUser()
{
    for (const auto& [device, mode] : m_devices) fs::permissions(device, mode);
    if (m_uid) (void)tool("/usr/sbin/userdel", {m_name});
}

Result<> TestUser::join(const std::string& group)
{
    TRY_VOID(tool("/usr/sbin/usermod", {"--append", "--groups", group, m_name}));
    return {};
}

void TestUser::own(const fs::path& path) const
{
    if (::chown(path.c_str(), m_uid, m_gid) != 0) std::perror(path.c_str());
}

void TestUser::open(const fs::path& device)
{
    std::error_code absent;
    auto mode = fs::status(device, absent).permissions();
    if (absent) return;
    m_devices.emplace_back(device, mode);
    fs::permissions(device, fs::perms(0666));
}

}  // namespace slipway::test
