// What the file server was about to do when it died: the record that makes a repeated request
// harmless.
//
// Theory of operation. Making, removing and renaming can't simply be done twice: the second time
// EEXIST or ENOENT would reach a container that did nothing wrong. So before such a call its
// request's `unique` and what stood there are noted in memory that survives the process (a ring in
// a mapped file), and after it the outcome. A request that comes again finds either its outcome, or
// what it had begun; then the state of the disk tells whether the call took place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "shared/core/error.h"
#include "wsl-bridge/files/file_tree.h"
#include "wsl-bridge/files/mapped_file.h"

namespace slipway {

struct Intent {
    std::uint64_t unique = 0;
    bool finished = false;
    int error = 0;    // Of a finished one; 0: it was done.
    Identity before;  // What the name led to before; all zero: nothing.
};

class Intents {
public:
    static Result<std::unique_ptr<Intents>> open(const std::filesystem::path& file);

    std::optional<Intent> find(std::uint64_t unique) const;
    void begin(std::uint64_t unique, const Identity& before);
    void finish(std::uint64_t unique, int error);
    void clear();  // A new kernel connection counts from the start again.

private:
    explicit Intents(std::unique_ptr<MappedFile> file);

    struct Record;
    Record* recordOf(std::uint64_t unique) const;

    mutable std::mutex m_mutex;
    std::unique_ptr<MappedFile> m_file;
    std::size_t m_next = 0;
};

}  // namespace slipway
