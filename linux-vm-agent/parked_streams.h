// The way out of the machine: streams that the bridge keeps parked, and the Docker socket served
// over them.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>

#include "shared/io/loop.h"
#include "shared/io/uv_stream.h"
#include "shared/tunnel/head_socket.h"

namespace slipway {

// Serves the socket that containers get for /var/run/docker.sock: each connection is led to the
// bridge's endpoint, so that a `docker run -v` in a container means the same host paths.
class ParkedStreams {
public:
    explicit ParkedStreams(Loop& loop);
    ~ParkedStreams();

    Result<> serveEngine(const std::filesystem::path& socket);
    void park(Descriptor stream);

private:
    class Guest;

    void received(std::uint64_t stream, const Result<std::string>& bytes);
    void arrived(StreamPtr client);
    void serveWaiting();

    Loop& m_loop;
    ListenerPtr m_listener;
    std::map<std::uint64_t, std::unique_ptr<HeadSocket>> m_parked;
    std::map<std::uint64_t, std::unique_ptr<Guest>> m_guests;
    std::map<std::uint64_t, std::uint64_t> m_taken;  // Stream -> guest, until its answer came.
    std::deque<std::uint64_t> m_waiting;             // Guests without a stream yet.
    std::uint64_t m_nextId = 1;
};

}  // namespace slipway
