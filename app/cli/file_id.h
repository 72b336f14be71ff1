// Tells one file from another that has taken its name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace slipway {

struct FileId {
    std::uint64_t device = 0;
    std::uint64_t file = 0;
    bool operator==(const FileId&) const = default;
};
std::optional<FileId> fileId(const std::filesystem::path& path);  // None: it is not there.

}  // namespace slipway
