// A file that is written piece by piece, each at its place. What was written survives the death of
// the process, not a loss of power. A kill leaves a piece whole or unwritten as long as it crosses
// no multiple of 4096 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

class RecordFile {
public:
    virtual ~RecordFile() = default;

    virtual Result<std::vector<std::byte>> contents() const = 0;
    // Makes the file longer where need be; the disk may be full.
    virtual Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
    virtual Result<> clear() = 0;  // It is empty then.
};

// Opens the file, or makes it; only its owner can read it.
Result<std::unique_ptr<RecordFile>> openRecordFile(const std::filesystem::path& path);

}  // namespace slipway
