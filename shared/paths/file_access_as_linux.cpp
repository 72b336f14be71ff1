#include "shared/paths/file_access_as.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/core/error.h"

namespace slipway {
namespace {

// The system call, as it is one thread's: setgroups(3) changes every thread of the process.
void setGroupsOfThread(const std::vector<gid_t>& groups)
{
    CHECK(::syscall(SYS_setgroups, groups.size(), groups.data()) == 0);
}

std::vector<gid_t> groupsOf(const User& user)
{
    int count = 0;
    ::getgrouplist(user.name.c_str(), user.gid, nullptr, &count);  // Tells how many there are.
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    if (::getgrouplist(user.name.c_str(), user.gid, groups.data(), &count) < 0) return {user.gid};
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

std::vector<gid_t> groupsOfThread()
{
    std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
    CHECK(::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
    return groups;
}

}  // namespace

// setfsuid(2) holds for one thread, and takes the capabilities over files from it with root's id.
FileAccessAs::FileAccessAs(const User& user) : m_switched(::geteuid() == 0 && user.uid != 0)
{
    if (!m_switched) return;
    m_oldGroups = groupsOfThread();
    setGroupsOfThread(groupsOf(user));
    ::setfsgid(user.gid);
    ::setfsuid(user.uid);
}

FileAccessAs::~FileAccessAs()
{
    if (!m_switched) return;
    ::setfsuid(0);
    ::setfsgid(::getegid());
    setGroupsOfThread(m_oldGroups);
}

}  // namespace slipway
