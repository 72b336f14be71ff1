// What the engine's containers are called, where they are reached and which host folders they use.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"
#include "shared/io/loop.h"
#include "wsl-bridge/engine/bind_records.h"
#include "wsl-bridge/engine/engine_client.h"

namespace slipway {

// Names the container's ports that want PROXY headers.
inline constexpr std::string_view kProxyProtocolLabel = "io.slipway.proxy-protocol";

struct ContainerSeen {
    std::string id;
    std::string name;
    bool running = false;
    std::vector<std::uint16_t> tcpPorts;   // Published.
    std::vector<std::string> addresses;    // In the machine's networks.
    std::vector<std::string> hostFolders;  // As the user spelled them.
    std::string proxyProtocol;             // Its label kProxyProtocolLabel.
};

// From the answer of containers/json?all=1.
Result<std::vector<ContainerSeen>> parseContainers(std::string_view json, const Records& records);

// The list as last seen, and the means to see it anew.
class Containers {
public:
    Containers(Loop& loop, Records& records);

    void setEngine(DialEngine dial);  // Empty: there is no engine, and so no container.

    // Asks the engine; a call while a question is under way asks once more after it, so that what
    // happened before the call is seen. `changed` is called after an answer that differs.
    void refresh();
    std::function<void()> changed;

    const std::vector<ContainerSeen>& all() const { return m_all; }
    std::size_t running() const;
    std::map<std::string, std::vector<std::string>> folders()
        const;  // In use: path to names, running.

    // As last seen; an empty name if no running container publishes the TCP port.
    std::string nameOnPort(std::uint16_t port) const;

    // After a new look; null if no running container has the address, or else the name.
    using Found = std::function<void(const ContainerSeen*)>;
    void find(const std::string& addressOrName, Found done);

private:
    struct Waiting {
        std::string addressOrName;
        Found done;
    };
    void ask();
    void answered(Result<std::string> answer);
    const ContainerSeen* findNow(const std::string& addressOrName) const;

    Loop& m_loop;
    Records& m_records;
    DialEngine m_dial;
    EngineQuestionPtr m_question;
    std::uint64_t m_moment = 0;       // Of the question, as m_records.containers counts.
    std::uint64_t m_portsMoment = 0;  // And m_records.ports.
    bool m_again = false;
    std::vector<ContainerSeen> m_all;
    std::vector<Waiting> m_waiting;      // For the answer of the question under way.
    std::vector<Waiting> m_waitingNext;  // For the one after it.
    Alive m_alive;
};

}  // namespace slipway
