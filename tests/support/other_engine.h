// An engine that is not Slipway's: a dockerd with networks and rules on the test's own host.
#pragma once

#include <optional>
#include <string>

#include "shared/process/child.h"

namespace slipway::test {

// Its root file system is the machine's, from which it lives apart. Only after enterOwnHost().
class OtherEngine {
public:
    // On the socket that dockerd has by default, and with these arguments.
    explicit OtherEngine(const std::string& arguments = {});
    ~OtherEngine();

    std::string log() const;

private:
    std::optional<Child> m_process;
};

}  // namespace slipway::test
