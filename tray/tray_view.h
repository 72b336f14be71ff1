// What the tray shows of a state: a pure function, so that it can be tested without a tray.
#pragma once

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
    QString otherEngine;  // Which the endpoint can be led to: "windows", "linux". Empty: none.
};

TrayView trayView(const v1::State& state);

// What can be told of a bridge that has not told its state.
enum class Absence {
    Stopped,        // Neither it nor the machine runs.
    MachineGoesOn,  // It does not run; the machine does.
    NotYetHeard,    // It runs and has been asked.
    Silent,         // It runs and should have answered.
};
TrayView trayView(Absence absence);

// While something is done that no bridge reports, as launching one is.
TrayView busyTrayView(const QString& what);

}  // namespace slipway
