// One running machine as the bridge sees it: the control link, the ways out, the file channels.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "shared/io/loop.h"
#include "shared/tunnel/dialer.h"
#include "wsl-bridge/agent_link.h"
#include "wsl-bridge/egress/parked_streams.h"
#include "wsl-bridge/files/file_server.h"
#include "wsl-bridge/ports/port_table.h"

namespace slipway {

// Begins to dial when it is made, dials again whenever the agent goes away, and ends when it dies.
class EngineSession {
public:
    struct Parts {
        Dialer& dialer;
        PortTable& ports;
        FileServer* files = nullptr;  // None where the host's files are bound directly.
        ParkedStreams::Asked askedByMachine;
        v1::ConfigureRequest configuration;
        std::function<void()> changed;  // report(), linked() or trouble() have.
    };
    EngineSession(Loop& loop, Parts parts);
    ~EngineSession();

    bool linked() const { return m_link != nullptr; }
    const v1::EngineReport& report() const { return m_report; }
    const std::string& trouble() const { return m_trouble; }  // Why it is not linked; empty: it is.

    void setLiveRestore(bool enabled, AgentLink::Done done);
    void usage(AgentLink::UsageDone done);
    void reconfigure(v1::ConfigureRequest configuration, AgentLink::Done done);
    void shareEnded(std::uint32_t channel);  // The file server says so: it is dialled again.

private:
    struct Channel;

    void configure(AgentLink::Done done);
    void dialControl();
    void controlDialed(Result<Descriptor> socket);
    void lost(const Error& error);
    void portRequested(const v1::PortRequest& request);
    void dropEnded();
    void dialShare(Channel& channel);
    void dialShareLater(Channel& channel);

    Loop& m_loop;
    Parts m_parts;
    DialingPtr m_dialing;
    Timer m_retry;
    std::unique_ptr<AgentLink> m_link;
    std::set<std::uint64_t> m_leases;    // That stand, as far as this session knows.
    std::set<std::uint64_t> m_restated;  // Told on the present link.
    v1::EngineReport m_report;
    std::string m_trouble = "the agent is starting";
    std::vector<std::unique_ptr<Channel>> m_channels;
    ParkedStreams m_parked;
    Alive m_alive;
};

}  // namespace slipway
