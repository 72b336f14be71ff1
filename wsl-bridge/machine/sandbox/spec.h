// What a sandbox is to be made of, and what came of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/paths/home.h"
#include "wsl-bridge/machine/sandbox/names.h"
#include "wsl-bridge/machine/sandbox/subnet_choice.h"

namespace slipway {

struct Note {
    std::string text;
    std::string remedy;
};
using Notes = std::vector<Note>;

// Where what is written lies: below the home, unless its file system can't carry an overlay.
enum class Storage { Plain, Image, Memory };

struct Spec {
    std::string name;
    Home home;
    std::filesystem::path root;  // The root file system, unpacked.
    std::filesystem::path bin;   // Seen in the machine as /usr/lib/slipway.
    bool fuse = false;
    Subnet subnet;
    std::string egress;  // nat, host; empty: what works best here.

    // Worked out at the start.
    bool rootless = false;
    MachineNames names;
    Storage storage = Storage::Plain;

    std::filesystem::path mountPoint() const { return home.machineDir() / "mnt"; }
    std::filesystem::path volume() const { return home.machineDir() / "volume"; }
    std::filesystem::path image() const { return home.machineDir() / "volume.img"; }
    // upper, work, data, containerd
    std::filesystem::path written(const char* what) const
    {
        return (storage == Storage::Plain ? home.machineDir() : volume()) / what;
    }
};

}  // namespace slipway
