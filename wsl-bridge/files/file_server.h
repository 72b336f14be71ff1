// The host's end of the share: serves granted files and folders to the machine.
//
// Theory of operation. A stream carries the guest kernel's requests; a handful of threads read it
// in turn, one request each, answer it with blocking calls on the host's files, and take the next.
// Nothing of this is on the bridge's loop. What must outlive the bridge (grants, nodes, intents) is
// in `stateDir`; a restarted server serves the same mount on. When a stream is replaced, the
// threads of the old one finish their request before the new one is read, so that no request is
// ever worked on twice at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"

namespace slipway {

struct FileServerOptions {
    std::filesystem::path stateDir;  // Made if it is not there, for its owner only.
    // A stream has ended by itself: dial a new one. Called on a thread of the server.
    std::function<void(std::uint32_t channel)> ended;
    // Run as pin_keeper.h says. Empty: files without a name end with this server.
    std::filesystem::path keeper;
};

struct FileServerStatistics {
    std::uint64_t messages = 0;  // Requests served.
    std::uint64_t notices = 0;   // Invalidations sent.
    std::size_t nodes = 0;       // Files and folders that the machine knows.
    std::size_t folders = 0;
    std::size_t grants = 0;
};

class FileServer {
public:
    virtual ~FileServer() = default;

    // From now on, and after every restart, the machine may use this file or folder and all below
    // it, at the same path below the share's mount point. The path must be absolute and free of
    // symbolic links.
    virtual Result<> grant(const std::filesystem::path& hostPath) = 0;

    // Serves a `share` stream of the tunnel, in place of the one before. From any thread; returns
    // at once.
    virtual Result<> attach(std::uint32_t channel, Descriptor stream) = 0;
    virtual void detach() = 0;  // Waits for the requests under way. `ended` is not called.

    // The machine has stopped: all that its kernel knew is forgotten, and nothing is watched.
    virtual void machineEnded() = 0;

    virtual FileServerStatistics statistics() const = 0;
};

Result<std::unique_ptr<FileServer>> startFileServer(FileServerOptions options);

}  // namespace slipway
