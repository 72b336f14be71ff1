// A display and a session bus of the test's own, so that it needs none and disturbs none.
#pragma once

#include <vector>

#include "shared/process/child.h"

namespace slipway::test {

class OwnSession {
public:
    // Starts Xvfb and dbus-daemon and puts DISPLAY and DBUS_SESSION_BUS_ADDRESS into the
    // environment. The error says what to install. Call it before QApplication or any use of the
    // bus.
    static Result<OwnSession> start();
    OwnSession(OwnSession&&) = default;
    ~OwnSession();

private:
    explicit OwnSession(std::vector<Child> servers) : m_servers(std::move(servers)) {}

    std::vector<Child> m_servers;
};

}  // namespace slipway::test
