// An ordinary user for the length of a test: tests of the rootless machine need one with
// subordinate ids.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <QTemporaryDir>
#include <sys/types.h>

#include "shared/core/error.h"

namespace slipway::test {

class TestUser {
public:
    // Needs root and useradd. The user has a home of its own, is in no group but its own, may open
    // /dev/net/tun and /dev/fuse, as on a stock Debian, and sees the build folder, for as long as
    // it is there.
    static Result<std::unique_ptr<TestUser>> make();
    ~TestUser();  // The user and its home are gone, and the devices are as they were.

    Result<> join(const std::string& group);
    void own(const std::filesystem::path& path) const;  // Makes it the user's.

    // Where the user finds a file of the build folder: that may lie in a home which others may not
    // enter, as Debian makes them.
    std::filesystem::path seen(const std::filesystem::path& path) const;

    const std::string& name() const { return m_name; }
    uid_t uid() const { return m_uid; }
    gid_t gid() const { return m_gid; }
    std::filesystem::path home() const { return m_home.path().toStdString(); }

private:
    TestUser() = default;
    void open(const std::filesystem::path& device);
    Result<> showBuild();

    std::string m_name;
    QTemporaryDir m_home{"/tmp/slu-XXXXXX"};
    QTemporaryDir m_view{"/tmp/slv-XXXXXX"};  // The build folder is bound here, read-only.
    std::filesystem::path m_build;            // Empty: it is not.
    uid_t m_uid = 0;
    gid_t m_gid = 0;
    std::vector<std::pair<std::filesystem::path, std::filesystem::perms>> m_devices;
};

}  // namespace slipway::test
