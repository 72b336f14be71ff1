// What a machine is called in the host's shared name spaces.
#pragma once

#include <filesystem>
#include <string>

namespace slipway {

// Derived from the instance's name and its home, as two homes may have folders of the same name.
struct MachineNames {
    std::string cgroup;    // slipway-web-1a2b3c: a folder in each cgroup hierarchy.
    std::string link;      // The host's end of the veth; at most 15 bytes (IFNAMSIZ).
    std::string nftTable;  // slipway_web_1a2b3c
    // Well spread, the same for the same home: where the search for a subnet begins.
    unsigned number = 0;
};
MachineNames machineNames(const std::string& instance, const std::filesystem::path& home);

}  // namespace slipway
