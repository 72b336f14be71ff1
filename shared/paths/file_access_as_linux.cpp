#include "shared/paths/file_access_as.h"

#include <sys/fsuid.h>

namespace slipway {

// setfsuid(2) holds for one thread, and takes the capabilities over files from it with root's id.
// The group goes first and comes back last: it can only be changed while the user is still root.
FileAccessAs::FileAccessAs(const User& user) : m_oldUid(-1), m_oldGid(::setfsgid(user.gid))
{
    m_oldUid = ::setfsuid(user.uid);
}

FileAccessAs::~FileAccessAs()
{
    ::setfsuid(static_cast<uid_t>(m_oldUid));
    ::setfsgid(static_cast<gid_t>(m_oldGid));
}

}  // namespace slipway
