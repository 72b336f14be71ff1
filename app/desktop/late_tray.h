// A tray that appears after the desktop program. Qt looks for a D-Bus tray once and remembers that
// there was none, so the program has to begin anew when one has come.
#pragma once

#include <functional>

#include <QObject>

namespace slipway {

// Asks once whether a tray has come that Qt has given up on; the answer is not waited for. `come`
// is called on this thread, and not after `context` is gone.
void askForLateTray(QObject& context, std::function<void()> come);

// Replaces the program by itself. At most once in a row: it returns if it has done so already.
void beginAnew(char** argv);

}  // namespace slipway
