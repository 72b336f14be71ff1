// What the host resolves, for the machine: its hosts file, then its name servers.
//
// Theory of operation. Questions come and answers go as DNS messages, so that every type of record,
// flag and time to live is the name server's own. c-ares asks: it knows which servers this host has
// (resolv.conf, or the registry), tries them in turn, and asks again by TCP for what is too long.
// Where the host's list of servers has changed, as when a VPN comes, a new c-ares is made, and the
// one before goes when it has answered its last question.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "shared/io/framed_stream.h"
#include "shared/io/loop.h"
#include "shared/net/dns.h"
#include "wsl-bridge/egress/hosts_file.h"

namespace slipway {

class HostNames {
public:
    struct Options {
        // What a name of the hosts file is that leads to this host's own loopback.
        std::string hostAddress;
        std::filesystem::path hostsFile = "/etc/hosts";
        std::filesystem::path resolvConf = "/etc/resolv.conf";
        std::uint16_t port = dns::kPort;  // Of all servers.
    };
    HostNames(Loop& loop, Options options);
    ~HostNames();

    // Framed questions and answers, until it ends.
    void serve(StreamPtr client);

    // `answered` gets the answer; SERVFAIL where no server gives one. Never before this returns.
    using Answered = std::function<void(std::string)>;
    void resolve(std::string query, Answered answered);

    std::string firstServer();  // "10.0.0.2"; empty: the host has none.

private:
    class Servers;

    std::string ownAnswer(const std::string& query, const dns::Question& question);
    void refreshServers();

    Loop& m_loop;
    Options m_options;
    HostsFile m_hosts;
    std::shared_ptr<Servers> m_servers;
    std::filesystem::file_time_type m_written{};
    std::list<std::unique_ptr<FramedStream>> m_clients;
    Alive m_alive;
};

}  // namespace slipway
