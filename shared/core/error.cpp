#include "shared/core/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace slipway {

std::string_view name(Code code)
{
    switch (code) {
        case Code::Cancelled:
            return "cancelled";
        case Code::Unknown:
            return "unknown";
        case Code::InvalidArgument:
            return "invalid argument";
        case Code::DeadlineExceeded:
            return "deadline exceeded";
        case Code::NotFound:
            return "not found";
        case Code::AlreadyExists:
            return "already exists";
        case Code::PermissionDenied:
            return "permission denied";
        case Code::ResourceExhausted:
            return "resource exhausted";
        case Code::FailedPrecondition:
            return "failed precondition";
        case Code::Aborted:
            return "aborted";
        case Code::OutOfRange:
            return "out of range";
        case Code::Unimplemented:
            return "unimplemented";
        case Code::Internal:
            return "internal";
        case Code::Unavailable:
            return "unavailable";
        case Code::DataLoss:
            return "data loss";
        case Code::Unauthenticated:
            return "unauthenticated";
    }
    return "unknown";
}

tl::unexpected<Error> fail(Code code, std::string message)
{
    return tl::unexpected<Error>(Error{code, std::move(message)});
}

Code codeOfErrno(int errnoValue)
{
    switch (errnoValue) {
        case ENOENT:
        case ESRCH:
        case ENODEV:
        case ENXIO:
            return Code::NotFound;
        case EEXIST:
        case EADDRINUSE:
            return Code::AlreadyExists;
        case EACCES:
        case EPERM:
        case EROFS:
            return Code::PermissionDenied;
        case EINVAL:
        case ENAMETOOLONG:
        case EADDRNOTAVAIL:
            return Code::InvalidArgument;
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return Code::ResourceExhausted;
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE:
        case ENETUNREACH:
        case EHOSTUNREACH:
            return Code::Unavailable;
        case ETIMEDOUT:
            return Code::DeadlineExceeded;
        case ECANCELED:
            return Code::Cancelled;
        case ENOSYS:
        case EOPNOTSUPP:
            return Code::Unimplemented;
        case ENOTDIR:
        case EISDIR:
        case EBUSY:
        case ENOTEMPTY:
            return Code::FailedPrecondition;
        default:
            return Code::Unknown;
    }
}

tl::unexpected<Error> failErrno(std::string_view what, int errnoValue)
{
    return fail(codeOfErrno(errnoValue), fmt::format("{}: {}", what, std::strerror(errnoValue)));
}

Error context(std::string_view what, Error error)
{
    error.message = fmt::format("{}: {}", what, error.message);
    return error;
}

void checkFailed(const char* condition, const char* file, int line)
{
    std::fprintf(stderr, "CHECK(%s) failed at %s:%d\n", condition, file, line);
    std::abort();
}

}  // namespace slipway
