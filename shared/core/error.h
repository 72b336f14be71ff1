// The one error type, the Result it travels in, and the macros that pass it on.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace slipway {

// gRPC's canonical status codes, with their numbers, so that one adapter translates them.
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
enum class Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
};

std::string_view name(Code code);

// `message` is for a person: what failed, on what, and what to do. Lower case, no full stop.
struct Error {
    Code code = Code::Unknown;
    std::string message;
};

template <class T = void>
using Result = tl::expected<T, Error>;

tl::unexpected<Error> fail(Code code, std::string message);

// The error of a system call: "<what>: <text of errno>", with the code that errno stands for.
tl::unexpected<Error> failErrno(std::string_view what, int errnoValue);
Code codeOfErrno(int errnoValue);

// Adds context on the way up: "<what>: <message>".
Error context(std::string_view what, Error error);

[[noreturn]] void checkFailed(const char* condition, const char* file, int line);

}  // namespace slipway

#define SLIPWAY_JOIN_(a, b) a##b
#define SLIPWAY_JOIN(a, b) SLIPWAY_JOIN_(a, b)

#define SLIPWAY_TRY_(temporary, declaration, expression)                 \
    auto temporary = (expression);                                       \
    if (!temporary)                                                      \
        return tl::unexpected<typename decltype(temporary)::error_type>( \
            std::move(temporary).error());                               \
    declaration = *std::move(temporary)

// TRY(auto fd, openShare(path)); returns the error, or declares fd.
#define TRY(declaration, ...) \
    SLIPWAY_TRY_(SLIPWAY_JOIN(tryResult_, __LINE__), declaration, (__VA_ARGS__))

#define SLIPWAY_TRY_VOID_(temporary, expression) \
    auto temporary = (expression);               \
    if (!temporary)                              \
    return tl::unexpected<typename decltype(temporary)::error_type>(std::move(temporary).error())

// TRY_VOID(close()); returns the error, or goes on.
#define TRY_VOID(...)                                                         \
    do {                                                                      \
        SLIPWAY_TRY_VOID_(SLIPWAY_JOIN(tryResult_, __LINE__), (__VA_ARGS__)); \
    } while (false)

// A programmer's error ends the process; it is never part of an answer.
#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) ::slipway::checkFailed(#condition, __FILE__, __LINE__); \
    } while (false)
