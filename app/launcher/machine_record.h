// What run/machine.json says of the machine, for when no bridge can be asked.
#pragma once

#include "shared/paths/home.h"

namespace slipway {

enum class MachineRecord {
    None,   // No machine was left behind.
    Ended,  // It is named and gone: the next bridge clears what it left.
    Alive,
};
MachineRecord machineRecord(const Home& home);

}  // namespace slipway
