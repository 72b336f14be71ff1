#include "tests/support/test_user.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <pwd.h>
#include <sys/mount.h>
#include <sys/stat.h>
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
    TRY_VOID(user->showBuild());
    user->open("/dev/net/tun");
    user->open("/dev/fuse");
    return user;
}

TestUser::~TestUser()
{
    if (!m_build.empty()) ::umount2(m_view.path().toUtf8(), MNT_DETACH);
    for (const auto& [device, mode] : m_devices) fs::permissions(device, mode);
    if (m_uid) (void)tool("/usr/sbin/userdel", {m_name});
}

Result<> TestUser::join(const std::string& group)
{
    TRY_VOID(tool("/usr/sbin/usermod", {"--append", "--groups", group, m_name}));
    return {};
}

Result<> TestUser::showBuild()
{
    const char* bin = std::getenv("SLIPWAY_BIN");
    if (!bin) return fail(Code::FailedPrecondition, "SLIPWAY_BIN is not set; run it by tests/run");
    fs::path build = fs::canonical(bin).parent_path().parent_path();
    auto at = m_view.path().toUtf8();
    ::chmod(at, 0755);
    if (::mount(build.c_str(), at, nullptr, MS_BIND, nullptr) != 0)
        return failErrno("show the build folder to the test's user", errno);
    m_build = build;
    // What removes the folder, should the mount outlive us, must not empty the build.
    if (::mount(nullptr, at, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
        return failErrno("protect the build folder", errno);
    return {};
}

fs::path TestUser::seen(const fs::path& path) const
{
    auto below = path.lexically_relative(m_build);
    if (below.empty() || *below.begin() == "..") return path;
    return fs::path(m_view.path().toStdString()) / below;
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
