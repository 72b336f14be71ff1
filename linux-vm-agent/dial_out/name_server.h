// The machine's name server: it knows the host by name, and asks the host for everything else.
//
// Theory of operation. All clients, by UDP and by TCP, are streams of framed DNS messages, and so
// is the one stream to the bridge that all of them share. A question goes there by a number of our
// own in the place of the client's; the answer goes back by it, cut short for a client that came by
// UDP and has no room for it. The stream is asked for with the first question, and again after it
// has ended. A question that can't be asked, or was lost with its stream, is answered SERVFAIL.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "linux-vm-agent/dial_out/parked_streams.h"
#include "shared/io/framed_stream.h"
#include "shared/io/uv_stream.h"
#include "shared/net/dns.h"

namespace slipway {

class NameServer {
public:
    // Listens on `address`, which is also what host.docker.internal and gateway.docker.internal
    // are.
    static Result<std::unique_ptr<NameServer>> listen(Loop& loop, ParkedStreams& parked,
                                                      const std::string& address,
                                                      std::uint16_t port = dns::kPort);
    ~NameServer();

private:
    using Clock = std::chrono::steady_clock;
    using ClientId = std::uint64_t;
    struct Client {
        std::unique_ptr<FramedStream> stream;
        bool udp = false;
    };
    struct Pending {
        ClientId client = 0;
        std::string query;
        Clock::time_point since;
    };

    NameServer(Loop& loop, ParkedStreams& parked, std::string address);
    void arrived(StreamPtr client, bool udp);
    void asked(ClientId client, std::string_view query);
    bool answersItself(ClientId client, std::string_view query);
    void askBridge(ClientId client, std::string_view query);
    void answered(std::string_view answer);
    void reply(const Pending& to, std::string answer);
    void connect();
    void bridgeGone();
    void forgetOld();

    Loop& m_loop;
    ParkedStreams& m_parked;
    std::string m_address;
    ListenerPtr m_udp;
    ListenerPtr m_tcp;
    std::map<ClientId, Client> m_clients;
    ClientId m_nextClient = 1;
    std::map<std::uint16_t, Pending> m_pending;  // By the number that the bridge sees.
    std::uint16_t m_lastNumber = 0;
    ParkedStreams::QuestionPtr m_connecting;
    std::unique_ptr<FramedStream> m_bridge;
    std::vector<std::string> m_unsent;  // Until there is m_bridge.
    Timer m_sweep;
};

}  // namespace slipway
