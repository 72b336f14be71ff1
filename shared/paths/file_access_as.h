// File accesses in the name of the person Slipway works for, so that a bridge under sudo leaves
// nothing of root's in that person's folders and can't be led by a symlink of theirs into anybody
// else's.
#pragma once

#include <vector>

#include "shared/paths/home.h"

namespace slipway {

// While one lives, the calling thread's file accesses are checked and made as `user` would make
// them, with the groups that user is in and none of root's; no other thread is concerned. Nothing
// changes where the thread is that user already.
class FileAccessAs {
public:
    explicit FileAccessAs(const User& user);
    ~FileAccessAs();
    FileAccessAs(const FileAccessAs&) = delete;
    FileAccessAs& operator=(const FileAccessAs&) = delete;

private:
    bool m_switched;
    std::vector<gid_t> m_oldGroups;
};

}  // namespace slipway
