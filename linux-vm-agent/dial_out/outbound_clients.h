// Clients of the machine on their way to something of the host.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "linux-vm-agent/dial_out/parked_streams.h"
#include "shared/io/relay.h"

namespace slipway {

// Each is led over a parked stream, by its own socket where the bridge takes it, else by a relay
// that lasts until both directions have ended.
class OutboundClients {
public:
    OutboundClients(Loop& loop, ParkedStreams& parked) : m_loop(loop), m_parked(parked) {}

    // `refuse` gets the client back if the bridge has said no, or could not be asked.
    using Refuse = std::function<void(Descriptor client, const Error&)>;
    void lead(Descriptor client, v1::DialOut target, Refuse refuse);
    // One that has no socket of its own; it ends if there is no way.
    void lead(StreamPtr client, v1::DialOut target);

private:
    struct Client {
        Descriptor socket;  // Until it is on its way; or else
        StreamPtr stream;
        ParkedStreams::QuestionPtr question;
        std::unique_ptr<Relay> relay;
    };
    using Place = std::list<Client>::iterator;
    void relay(Place client, Result<StreamPtr> from, Descriptor stream);

    Loop& m_loop;
    ParkedStreams& m_parked;
    std::list<Client> m_clients;
};

}  // namespace slipway
