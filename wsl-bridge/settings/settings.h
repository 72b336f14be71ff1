// The user's settings: settings.json in SLIPWAY_HOME, read whenever the engine is started.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/core/error.h"

namespace slipway {

// How host files reach the machine; see ARCHITECTURE.md, "Files".
enum class FilesMode { Direct, Fuse };

// Where a port is published when the user names no address.
enum class PublishAddress { Localhost, All };

struct Settings {
    FilesMode files = FilesMode::Direct;
    PublishAddress publish = PublishAddress::Localhost;
    std::filesystem::path
        rootfs;  // A tar.zst, or a folder used as it is. Empty: found by the bridge.
};

std::string_view name(FilesMode mode);

struct Complaint {
    std::string text;
    std::string remedy;
};

// What was read, and what the user should hear about it. Never an error: a file that can't be used
// is kept aside as <name>.bad, named with line and column in a complaint, and the defaults hold.
template <class T>
struct Loaded {
    T value;
    std::vector<Complaint> complaints;
};
Loaded<Settings> loadSettings(const std::filesystem::path& file);

// The user's daemon.json as it stands; empty without one. Only its syntax is looked at here.
Loaded<std::string> loadDaemonJson(const std::filesystem::path& file);

}  // namespace slipway
