// The picture of Slipway's state: a ship on its slipway. Drawn, so that it is sharp at every size;
// told apart by shape alone, for people and panels without colours.
#pragma once

#include <QIcon>
#include <QImage>

namespace slipway {

enum class Look {
    Stopped,   // An outline, nothing on board.
    Starting,  // A filled hull; a load that comes on board piece by piece.
    Running,   // A filled hull, fully loaded.
    Degraded,  // An exclamation mark in place of the load: it works, but not all of it.
    Trouble,   // A cross in place of the load.
};

inline constexpr int kStartingFrames = 4;

QImage stateImage(Look look, int sizePx, int frame = 0);  // `frame` counts while Starting.
QIcon stateIcon(Look look, int frame = 0);                // Of any size.

}  // namespace slipway
