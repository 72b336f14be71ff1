// A file that is memory: what is stored in it survives the death of the process, not a loss of
// power.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

#include "shared/core/error.h"

namespace slipway {

class MappedFile {
public:
    virtual ~MappedFile() = default;

    // Stays where it is for as long as the object lives; `size()` bytes of it may be touched.
    virtual std::byte* data() = 0;
    virtual std::size_t size() const = 0;

    // Makes room, with the disk space behind it; the new bytes are zero.
    virtual Result<> grow(std::size_t bytes) = 0;
};

// Opens the file, or makes it (only its owner can read it). It is at least `bytes` long afterwards,
// and never grows beyond `maxBytes`.
Result<std::unique_ptr<MappedFile>> mapFile(const std::filesystem::path& path, std::size_t bytes,
                                            std::size_t maxBytes);

}  // namespace slipway
