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
    // Needs root and useradd. The user has a home of its own, is in no group but its own, and may
    // open /dev/net/tun and /dev/fuse, as on a stock Debian, for as long as it is there.
    static Result<std::unique_ptr<TestUser>> make();
    ~TestUser();  // The user and its home are gone, and the devices are as they were.

    Result<> join(const std::string& group);
    void own(const std::filesystem::path& path) const;  // Makes it the user's.

    const std::string& name() const { return m_name; }
    uid_t uid() const { return m_uid; }
    gid_t gid() const { return m_gid; }
    std::filesystem::path home() const { return m_home.path().toStdString(); }

private:
    TestUser() = default;
    void open(const std::filesystem::path& device);

    std::string m_name;
    QTemporaryDir m_home{"/tmp/slu-XXXXXX"};
    uid_t m_uid = 0;
    gid_t m_gid = 0;
    std::vector<std::pair<std::filesystem::path, std::filesystem::perms>> m_devices;
};

}  // namespace slipway::test
