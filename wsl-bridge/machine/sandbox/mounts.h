// Mounting as verbs: each names itself in its error.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/io/descriptor.h"

namespace slipway {

struct FileSystem {
    std::string type;
    std::vector<std::pair<std::string, std::string>> options;  // An empty value: a flag.
    bool noSuid = false;
};
Result<Descriptor> newMount(const FileSystem& fileSystem);  // Not attached anywhere yet.
Result<> mountNew(const FileSystem& fileSystem, const std::filesystem::path& target);

// A detached copy of the tree of mounts below `source`, a folder or a single file.
Result<Descriptor> cloneTree(const std::filesystem::path& source);
Result<> attachTree(const Descriptor& tree, const std::filesystem::path& target);
Result<> bindTree(const std::filesystem::path& source, const std::filesystem::path& target,
                  bool readOnly = false);

// `flags` is MS_SLAVE, MS_SHARED or MS_PRIVATE; with everything below.
Result<> setPropagation(const std::filesystem::path& target, unsigned long flags);

Result<> makeFolders(const std::filesystem::path& folder);
Result<> makeEmptyFile(const std::filesystem::path& file);
Result<> writeText(const std::filesystem::path& file, const std::string& text);

// What lies in one line of /proc/self/mountinfo, proc(5).
struct MountInfo {
    std::string device;  // major:minor
    std::string root;
    std::filesystem::path point;
    std::string type;
    std::string source;
    std::string superOptions;
};
std::vector<MountInfo> parseMountInfo(const std::string& text);
std::vector<MountInfo> mountsOfThisProcess();

std::string readText(const std::filesystem::path& file);  // Empty if it can't be read.

}  // namespace slipway
