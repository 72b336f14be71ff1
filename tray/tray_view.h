// What the tray shows of a state: a pure function, so that it can be tested without a tray.
#pragma once

#include <optional>

#include <QString>

#include "shared/proto/bridge.pb.h"
#include "tray/state_icon.h"

namespace slipway {

struct TrayView {
    Look look = Look::Stopped;
    QString status;   // The menu's first line: "Running: Docker 26.1.5, 3 containers".
    QString toolTip;  // "Slipway", then the same over several lines.
    bool canStart = false;
    bool canStop = false;
    bool canRestart = false;
};

// No state: no bridge answers. `machineGoesOn` tells whether it has left a machine running.
TrayView trayView(const std::optional<v1::State>& state, bool machineGoesOn);

// While something is done that no bridge reports, as launching one is.
TrayView busyTrayView(const QString& what);

}  // namespace slipway
