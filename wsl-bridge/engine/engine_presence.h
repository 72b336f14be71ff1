// Whether an engine is there to be talked to, and how.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shared/tunnel/dialer.h"

namespace slipway {

// Opens one connection to an engine's API. Destroying what it returns gives up; `done` may do so.
using DialEngine = std::function<DialingPtr(Dialer::StreamDone done)>;
DialEngine engineBehind(Dialer& machine);  // The dialer outlives it.

struct EngineAvailability {
    DialEngine dial;        // Empty: nobody can be reached, for `reason`.
    bool starting = false;  // It is worth waiting.
    std::string reason;     // Its state: "stopped", "starting: …".
    std::string remedy = "start it with: slipway start";
};

// The availability of one engine, told to those who wait for it.
class EnginePresence {
public:
    const EngineAvailability& now() const { return m_now; }
    void set(EngineAvailability now);

    // `changed` is called after each change for as long as what is returned lives.
    using Watch = std::shared_ptr<std::function<void()>>;
    [[nodiscard]] Watch watch(std::function<void()> changed);

private:
    EngineAvailability m_now;
    std::vector<std::weak_ptr<std::function<void()>>> m_watches;
};

}  // namespace slipway
