#include "linux-vm-agent/engine/engine_log.h"

#include <filesystem>
#include <fstream>

#include "linux-vm-agent/engine/layout.h"
#include "shared/core/folder_owner.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::uintmax_t kMaxLogBytes = 10u << 20;
constexpr std::uintmax_t kTailBytes = 8u << 10;
// moby, cmd/dockerd/docker.go.
constexpr std::string_view kStartFailure = "failed to start daemon: ";

}  // namespace

void trimEngineLog()
{
    namespace fs = std::filesystem;
    std::error_code failed;
    auto size = fs::file_size(kEngineLogFile, failed);
    if (failed || size <= kMaxLogBytes) return;
    fs::path old = fs::path(kEngineLogFile).string() + ".1";
    fs::copy_file(kEngineLogFile, old, fs::copy_options::overwrite_existing, failed);
    if (!failed) fs::resize_file(kEngineLogFile, 0, failed);
    if (failed) log::warn("engine: rotate {}: {}", kEngineLogFile, failed.message());
    if (auto given = giveToFolderOwner(old); !given) log::warn("engine: {}", given.error().message);
}

std::string lastStartFailure()
{
    std::ifstream file(kEngineLogFile, std::ios::ate);
    if (!file) return "";
    auto size = static_cast<std::uintmax_t>(file.tellg());
    file.seekg(static_cast<std::streamoff>(size > kTailBytes ? size - kTailBytes : 0));
    std::string reason;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with(kStartFailure)) reason = line.substr(kStartFailure.size());
    }
    return reason;
}

}  // namespace slipway
