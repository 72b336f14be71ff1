// The port proxies' socket, and the way between them, the claim table and the bridge.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "linux-vm-agent/ports/claim_table.h"
#include "linux-vm-agent/ports/machine_ports.h"
#include "linux-vm-agent/ports/standing_file.h"
#include "shared/io/byte_stream.h"
#include "shared/io/loop.h"
#include "shared/io/unix_acceptor.h"

namespace slipway {

class PortClaims final : private ClaimTable::Output {
public:
    // Whether the process at the other end of a socket may claim ports.
    using CheckPeer = std::function<Result<>(int socket)>;
    struct Options {
        std::filesystem::path socket;
        std::filesystem::path standingFile;  // What stands, for an agent that is started anew.
        CheckPeer checkPeer;
    };
    static Result<std::unique_ptr<PortClaims>> open(Loop& loop, Options options);

    // The bridge's stream: `tell` gets every request, first all that stand. One bridge at a time; a
    // later one replaces the one before.
    using Tell = std::function<void(const v1::PortRequest&)>;
    void bridgeCame(Tell tell);
    void bridgeGone();
    void decided(const v1::PortDecision& decision);

    void engineUp(bool up);
    bool publishes(std::string_view protocol, const std::string& address,
                   std::uint16_t port) const  // Of a container.
    {
        return m_table.publishes(protocol, address, port);
    }

    // The ports of those who listen by themselves: from now on these and no others. They listen
    // whatever the bridge says, so a refusal is for its status alone.
    void keepListeners(const std::vector<ClaimedPort>& ports);

private:
    struct Proxy {
        StreamPtr stream;
        std::string unread;
        std::string answer;
        bool leaving = false;  // Refused: its stream is closed once it has been told.
    };
    using ProxyId = ClaimTable::ProxyId;

    PortClaims(Loop& loop, Options options);
    Result<> listen();
    void accepted(Descriptor socket);
    void read(ProxyId id);
    void arrived(ProxyId id, Result<ByteStream::Bytes> bytes);
    bool lineCame(ProxyId id, std::string_view line);  // False: the proxy is done with.
    void finish(ProxyId id, ClaimTable::End end);
    void armTimer();

    void answer(ProxyId proxy, const std::string& refusal) override;
    void tell(const v1::PortRequest& request) override;
    void stands(const ClaimTable::Standing& claim) override;
    void fell(Lease lease) override;
    std::string whyNoRoom(std::size_t claims) override;

    Loop& m_loop;
    Options m_options;
    ClaimTable m_table;
    MachinePorts m_inMachine;
    StandingFile m_standing;
    Timer m_timer;
    Tell m_tell;
    std::unique_ptr<UnixAcceptor> m_acceptor;
    std::map<ProxyId, Proxy> m_proxies;
    std::map<std::string, ProxyId> m_listeners;  // By the port's text, each as a proxy of its own.
    ProxyId m_nextProxy = 1;
};

// Only dockerd's own children may claim: the machine's root, in the agent's own mount namespace (a
// container has another), running slipway-port-proxy.
Result<> checkIsPortProxy(int socket);

}  // namespace slipway
