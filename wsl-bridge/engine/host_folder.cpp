#include "wsl-bridge/engine/host_folder.h"

#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "shared/paths/file_access_as.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> refused(const std::string& spelled, const std::error_code& why,
                              const User& user)
{
    bool denied = why == std::errc::permission_denied || why == std::errc::operation_not_permitted;
    if (denied)
        return fail(
            Code::PermissionDenied,
            fmt::format("bind source path {}: user {} may not read it", spelled, user.name));
    return fail(Code::InvalidArgument,
                fmt::format("bind source path {}: {}", spelled, why.message()));
}

// Of sockets and devices only the way to them counts, as for any program that opens them.
std::error_code readable(const fs::path& path)
{
    std::error_code failed;
    auto type = fs::status(path, failed).type();
    if (failed) return failed;
    if (type == fs::file_type::directory) {
        fs::directory_iterator listing(path, failed);
        return failed;
    }
    if (type == fs::file_type::regular && !std::ifstream(path))
        return std::make_error_code(std::errc::permission_denied);
    return {};
}

}  // namespace

Result<fs::path> findHostFolder(const std::string& spelled, Missing missing, const User& user)
{
    FileAccessAs access(user);
    std::error_code failed;
    if (!fs::exists(spelled, failed) && !failed) {
        if (missing == Missing::Leave) {
            fs::path canonical = fs::weakly_canonical(spelled, failed);
            if (failed) return refused(spelled, failed, user);
            return canonical;
        }
        if (missing == Missing::Refuse)
            return fail(Code::InvalidArgument,
                        fmt::format("invalid mount config for type \"bind\": bind source path does "
                                    "not exist: {}",
                                    spelled));
        fs::create_directories(spelled, failed);
        if (failed)
            return fail(Code::PermissionDenied,
                        fmt::format("error while creating mount source path '{}': mkdir {}: {}",
                                    spelled, spelled, failed.message()));
    }
    fs::path canonical = failed ? fs::path() : fs::canonical(spelled, failed);
    if (!failed) failed = readable(canonical);
    if (failed) return refused(spelled, failed, user);
    return canonical;
}

}  // namespace slipway
