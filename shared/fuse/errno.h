// The error numbers a FUSE server may answer: Linux's, whatever the host is.
#pragma once

#include <tl/expected.hpp>

namespace slipway {

// linux/include/uapi/asm-generic/errno-base.h and errno.h. Only those that we name ourselves; a
// number that comes from the host's own kernel is passed on as it is.
enum class Errno : int {
    NotPermitted = 1,
    NoEntry = 2,
    Io = 5,
    NoDeviceOrAddress = 6,
    BadDescriptor = 9,
    Access = 13,
    Exists = 17,
    CrossDevice = 18,
    NotDirectory = 20,
    IsDirectory = 21,
    Invalid = 22,
    NoSpace = 28,
    ReadOnly = 30,
    Range = 34,
    NameTooLong = 36,
    NotImplemented = 38,
    Loop = 40,
    NoData = 61,
    NotSupported = 95,
    Stale = 116,
};

// What a file operation that must answer a kernel returns.
template <class T = void>
using FuseResult = tl::expected<T, Errno>;

inline tl::unexpected<Errno> refuse(Errno error)
{
    return tl::unexpected<Errno>(error);
}

}  // namespace slipway
