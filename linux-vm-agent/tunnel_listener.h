// The agent's only door: accepts tunnel streams, makes each prove itself, and leads it to its
// service.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "linux-vm-agent/stream_target.h"
#include "shared/io/loop.h"
#include "shared/io/unix_acceptor.h"
#include "shared/tunnel/handshake.h"

namespace slipway {

// What takes over the descriptors of the services that are not a mere connection, and what those
// may lead to. One without a taker is refused.
struct TunnelServices {
    std::function<void(Descriptor)> control;
    IsPublished isPublished;
    std::function<void(Descriptor, bool takesSockets)> park;
    std::function<void(std::uint32_t channel, Descriptor)> share;
};

class TunnelListener {
public:
    static Result<std::unique_ptr<TunnelListener>> open(Loop& loop,
                                                        const std::filesystem::path& socket,
                                                        const Token& token,
                                                        TunnelServices services);
    ~TunnelListener();

private:
    class Stream;

    TunnelListener(Loop& loop, const Token& token, TunnelServices services);
    void accepted(Descriptor socket);
    void turnedAway(const Error& why);

    Loop& m_loop;
    Token m_token;
    TunnelServices m_services;
    std::unique_ptr<UnixAcceptor> m_acceptor;
    std::map<std::uint64_t, std::unique_ptr<Stream>> m_streams;
    std::uint64_t m_nextStream = 1;
    std::chrono::steady_clock::time_point m_lastLogged;
    unsigned m_unlogged = 0;
};

}  // namespace slipway
