// What the engine publishes without starting a port proxy for it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "linux-vm-agent/engine/api_call.h"
#include "linux-vm-agent/engine/engine_events.h"
#include "linux-vm-agent/port_proxy/claimed_port.h"
#include "shared/io/loop.h"

namespace slipway {

struct Unproxied {
    std::map<std::string, std::string> hostContainers;  // With the machine's network: id to name.
    std::vector<ClaimedPort> servicePorts;              // Of swarm's ingress.
};

// From the answer of containers/json.
Result<std::map<std::string, std::string>> parseHostContainers(std::string_view json);
// From the answer of services. dockerd's own listener is reached at the machine's 127.0.0.1.
Result<std::vector<ClaimedPort>> parseIngressPorts(std::string_view json);

// Asks the engine when it comes, and after each of its events that may change the answer; an idle
// engine is not asked. While there is none, what was known stands: containers go on.
class UnproxiedWatch {
public:
    using Known = std::function<void(const Unproxied&)>;
    UnproxiedWatch(Loop& loop, Known known);

    void engineUp(bool up);

private:
    void ask();
    void askServices();
    void answered();

    Loop& m_loop;
    Known m_known;
    EngineEvents m_events;
    Unproxied m_now;
    std::unique_ptr<ApiCall> m_call;
    bool m_up = false;
    bool m_again = false;  // Something happened since it was asked.
};

}  // namespace slipway
