// The folders of a SLIPWAY_HOME, and the lock that makes one bridge its only one.
#pragma once

#include "shared/core/error.h"
#include "shared/io/descriptor.h"
#include "shared/paths/home.h"

namespace slipway {

// Makes what is missing of the home's folders, 0700, of `user`.
Result<> makeHome(const Home& home, const User& user);

// Held until it dies, with the process at the latest. The file says the holder's pid.
class HomeLock {
public:
    // AlreadyExists: another bridge serves this home.
    static Result<HomeLock> take(const Home& home);

private:
    explicit HomeLock(Descriptor file) : m_file(std::move(file)) {}

    Descriptor m_file;
};

}  // namespace slipway
