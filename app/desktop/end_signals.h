// Being asked to end by the session or the system.
#pragma once

namespace slipway {

// Holds such requests back from now on. Call it before the first thread is made, so before
// QApplication.
void holdEndSignals();

// Lets those that were held back, and later ones, end the running QCoreApplication in good order.
void quitOnEndSignals();

}  // namespace slipway
