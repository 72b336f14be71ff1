// Theory of operation. A socket is read many datagrams at a time (recvmmsg(2)) into room that all
// sockets of a thread share, and what came is handed on as frames, so that a burst costs few system
// calls and few writes. A frame that is written may come in pieces; whole ones are sent at once.
//
// A bound socket knows its peers by their addresses. A peer's stream and its listener know of each
// other, and either may go first.
#include "shared/io/datagrams.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fmt/format.h>

namespace slipway {
namespace {

using Bytes = ByteStream::Bytes;
using Buffer = std::vector<std::byte>;

constexpr std::size_t kAtOnce = 32;
constexpr std::size_t kRoomBytes = 65536;  // No datagram is larger.
constexpr std::size_t kLengthBytes = 2;
constexpr int kReceiveBytes = 1 << 20;  // Of the kernel, for bursts; it gives what it allows.

struct Address {
    sockaddr_storage storage{};
    socklen_t size = sizeof(sockaddr_storage);

    static Result<Address> of(const std::string& text, std::uint16_t port)
    {
        Address address;
        if (uv_ip4_addr(text.c_str(), port, reinterpret_cast<sockaddr_in*>(&address.storage)) == 0)
            address.size = sizeof(sockaddr_in);
        else if (uv_ip6_addr(text.c_str(), port,
                             reinterpret_cast<sockaddr_in6*>(&address.storage)) == 0)
            address.size = sizeof(sockaddr_in6);
        else
            return failErrno(fmt::format("address {}", text), EINVAL);
        return address;
    }
    sockaddr* any() { return reinterpret_cast<sockaddr*>(&storage); }
    std::string_view bytes() const { return {reinterpret_cast<const char*>(&storage), size}; }
};

Descriptor newSocket(const Address& address)
{
    Descriptor socket(
        ::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    for (int option : {SO_RCVBUFFORCE, SO_RCVBUF}) {  // The first is root's.
        if (::setsockopt(socket.get(), SOL_SOCKET, option, &kReceiveBytes, sizeof kReceiveBytes) ==
            0)
            break;
    }
    return socket;
}

void appendFrame(Buffer& frames, Bytes datagram)
{
    frames.push_back(static_cast<std::byte>(datagram.size() >> 8));
    frames.push_back(static_cast<std::byte>(datagram.size() & 0xff));
    frames.insert(frames.end(), datagram.begin(), datagram.end());
}

// Room for one reading of many datagrams.
class Room {
public:
    static Room& ofThread()
    {
        thread_local Room room;
        return room;
    }

    // Calls back with each datagram and who sent it.
    template <class Each>
    void receive(int socket, const Each& each)
    {
        std::array<mmsghdr, kAtOnce> messages{};
        std::array<iovec, kAtOnce> places{};
        for (std::size_t i = 0; i < kAtOnce; ++i) {
            places[i] = {m_bytes.data() + i * kRoomBytes, kRoomBytes};
            messages[i].msg_hdr.msg_iov = &places[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &m_from[i].storage;
            messages[i].msg_hdr.msg_namelen = sizeof m_from[i].storage;
        }
        // An error is what the peer refused before (ICMP, udp(7)), and told but once.
        int count = ::recvmmsg(socket, messages.data(), kAtOnce, 0, nullptr);
        for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
            m_from[i].size = messages[i].msg_hdr.msg_namelen;
            each(m_from[i], Bytes(m_bytes.data() + i * kRoomBytes, messages[i].msg_len));
        }
    }

private:
    Buffer m_bytes{kAtOnce * kRoomBytes};
    std::array<Address, kAtOnce> m_from;
};

// Takes frames apart that come in pieces.
class FrameReader {
public:
    template <class Each>
    void take(Bytes bytes, const Each& each)
    {
        if (!m_partial.empty()) {
            m_partial.insert(m_partial.end(), bytes.begin(), bytes.end());
            std::size_t used = whole(m_partial, each);
            m_partial.erase(m_partial.begin(),
                            m_partial.begin() + static_cast<std::ptrdiff_t>(used));
        } else {
            auto rest = bytes.subspan(whole(bytes, each));
            m_partial.assign(rest.begin(), rest.end());
        }
    }

private:
    template <class Each>
    static std::size_t whole(Bytes bytes, const Each& each)
    {
        std::size_t at = 0;
        while (bytes.size() - at >= kLengthBytes) {
            std::size_t size = std::to_integer<std::size_t>(bytes[at]) << 8 |
                               std::to_integer<std::size_t>(bytes[at + 1]);
            if (bytes.size() - at - kLengthBytes < size) break;
            each(bytes.subspan(at + kLengthBytes, size));
            at += kLengthBytes + size;
        }
        return at;
    }

    Buffer m_partial;
};

// Watches a socket for what can be read.
class Readable {
public:
    Readable(Loop& loop, int socket, std::function<void()> ready)
        : m_ready(std::move(ready)), m_poll(new uv_poll_t{})
    {
        CHECK(uv_poll_init(loop.uv(), m_poll.get(), socket) == 0);
        m_poll->data = this;
    }
    ~Readable() { uv_poll_stop(m_poll.get()); }  // Before the descriptor is closed.
    Readable(const Readable&) = delete;
    Readable& operator=(const Readable&) = delete;

    void watch(bool wanted)
    {
        if (std::exchange(m_watches, wanted) == wanted) return;
        if (!wanted) return void(uv_poll_stop(m_poll.get()));
        uv_poll_start(m_poll.get(), UV_READABLE, [](uv_poll_t* handle, int status, int) {
            auto self = [handle] { return static_cast<Readable*>(handle->data); };
            if (self()) self()->m_ready();
            // libuv has stopped: a refusal makes epoll say error, which m_ready() has taken.
            if (status < 0 && self() && std::exchange(self()->m_watches, false))
                self()->watch(true);
        });
    }

private:
    std::function<void()> m_ready;
    bool m_watches = false;
    UvHandle<uv_poll_t> m_poll;
};

// The half of a stream that all datagrams have in common: frames that wait for a reader, and frames
// that are written.
class FrameStream : public ByteStream {
public:
    explicit FrameStream(Loop& loop) : m_loop(loop) {}

    void read(ReadDone done) override
    {
        CHECK(!m_readDone);
        m_readDone = std::move(done);
        m_handed.clear();
        if (!m_waiting.empty() || m_ended) m_loop.post(m_alive.wrap([this] { hand(); }));
    }

    void write(Bytes data, WriteDone done) override
    {
        writeNow(data);
        m_loop.post(m_alive.wrap([done = std::move(done)] { done({}); }));
    }

    std::size_t writeNow(Bytes data) override
    {
        m_written.take(data, [this](Bytes datagram) { send(datagram); });
        return data.size();
    }

    void closeWrite() override { end(); }

protected:
    bool isRead() const { return m_readDone != nullptr; }
    Buffer& waiting() { return m_waiting; }

    void hand()
    {
        if (!m_readDone || (m_waiting.empty() && !m_ended)) return;
        m_handed.swap(m_waiting);
        std::exchange(m_readDone, nullptr)(Bytes(m_handed));
    }

    void end()
    {
        m_ended = true;
        m_loop.post(m_alive.wrap([this] { hand(); }));
    }

private:
    virtual void send(Bytes datagram) = 0;

    Loop& m_loop;
    ReadDone m_readDone;
    Buffer m_waiting, m_handed;
    FrameReader m_written;
    bool m_ended = false;
    Alive m_alive;
};

class ConnectedDatagrams final : public FrameStream {
public:
    ConnectedDatagrams(Loop& loop, Descriptor socket)
        : FrameStream(loop),
          m_socket(std::move(socket)),
          m_readable(loop, m_socket.get(), [this] { ready(); })
    {
    }

    void read(ReadDone done) override
    {
        FrameStream::read(std::move(done));
        m_readable.watch(true);
    }

private:
    void ready()
    {
        if (!isRead()) return m_readable.watch(false);
        Room::ofThread().receive(m_socket.get(), [this](const Address&, Bytes datagram) {
            appendFrame(waiting(), datagram);
        });
        hand();
    }

    void send(Bytes datagram) override
    {
        ::send(m_socket.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }

    Descriptor m_socket;
    Readable m_readable;
};

class UdpListener final : public Listener {
public:
    UdpListener(Loop& loop, Descriptor socket, Accepted accepted, UdpOptions options)
        : m_loop(loop),
          m_socket(std::move(socket)),
          m_accepted(std::move(accepted)),
          m_options(options),
          m_readable(loop, m_socket.get(), [this] { ready(); }),
          m_sweep(loop)
    {
        m_readable.watch(true);
        m_sweep.every(m_options.silence / 4, [this] { endSilent(); });
    }
    ~UdpListener() override
    {
        for (auto& [address, peer] : m_peers) peer->m_listener = nullptr;
    }

    std::uint16_t port() const override
    {
        Address address;
        ::getsockname(m_socket.get(), address.any(), &address.size);
        return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)
                         ->sin_port);  // The same place in both.
    }

private:
    using Clock = std::chrono::steady_clock;

    class Peer final : public FrameStream {
    public:
        Peer(UdpListener& listener, const Address& address)
            : FrameStream(listener.m_loop), m_listener(&listener), m_address(address)
        {
        }
        ~Peer() override
        {
            if (m_listener) m_listener->m_peers.erase(std::string(m_address.bytes()));
        }

        void came(Bytes datagram)
        {
            m_last = Clock::now();
            if (waiting().size() + datagram.size() > m_listener->m_options.maxWaitingBytes) return;
            appendFrame(waiting(), datagram);
        }
        using FrameStream::end;
        using FrameStream::hand;

    private:
        friend class UdpListener;

        void send(Bytes datagram) override
        {
            if (!m_listener) return;
            m_last = Clock::now();
            ::sendto(m_listener->m_socket.get(), datagram.data(), datagram.size(),
                     MSG_DONTWAIT | MSG_NOSIGNAL, m_address.any(), m_address.size);
        }

        UdpListener* m_listener;  // Null: it has gone.
        Address m_address;
        Clock::time_point m_last = Clock::now();
    };

    void ready()
    {
        std::vector<std::string> spoke;
        Room::ofThread().receive(m_socket.get(), [&](const Address& from, Bytes datagram) {
            std::string key(from.bytes());
            peerAt(key, from).came(datagram);
            if (spoke.empty() || spoke.back() != key) spoke.push_back(std::move(key));
        });
        for (const auto& key : spoke) {
            if (auto peer = m_peers.find(key); peer != m_peers.end()) peer->second->hand();
        }
    }

    Peer& peerAt(const std::string& key, const Address& address)
    {
        if (auto known = m_peers.find(key); known != m_peers.end()) return *known->second;
        if (m_peers.size() >= m_options.maxPeers) {
            auto silent = std::min_element(
                m_peers.begin(), m_peers.end(),
                [](const auto& a, const auto& b) { return a.second->m_last < b.second->m_last; });
            drop(silent);
        }
        auto peer = std::make_unique<Peer>(*this, address);
        Peer& added = *(m_peers[key] = peer.get());
        m_accepted(std::move(peer));
        return added;
    }

    // Its stream comes to its end; what its address sends from now on is another one's.
    void drop(std::map<std::string, Peer*>::iterator peer)
    {
        Peer& gone = *peer->second;
        m_peers.erase(peer);
        gone.m_listener = nullptr;
        gone.end();
    }

    void endSilent()
    {
        auto before = Clock::now() - m_options.silence;
        for (auto peer = m_peers.begin(); peer != m_peers.end();) {
            auto next = std::next(peer);
            if (peer->second->m_last < before) drop(peer);
            peer = next;
        }
    }

    Loop& m_loop;
    Descriptor m_socket;
    Accepted m_accepted;
    UdpOptions m_options;
    Readable m_readable;
    Timer m_sweep;
    std::map<std::string, Peer*> m_peers;  // By their addresses; each is its relay's.
};

struct UdpConnecting final : Connecting {
    Alive alive;
};

}  // namespace

Result<Descriptor> connectUdpSocket(const std::string& address, std::uint16_t port)
{
    TRY(auto target, Address::of(address, port));
    Descriptor socket = newSocket(target);
    if (!socket || ::connect(socket.get(), target.any(), target.size) < 0)
        return failErrno(fmt::format("connect to {}:{} by UDP", address, port), errno);
    return socket;
}

Result<StreamPtr> adoptDatagramSocket(Loop& loop, Descriptor socket)
{
    return std::make_unique<ConnectedDatagrams>(loop, std::move(socket));
}

std::unique_ptr<Connecting> connectUdp(Loop& loop, const std::string& address, std::uint16_t port,
                                       ConnectDone done)
{
    auto connecting = std::make_unique<UdpConnecting>();
    loop.post(connecting->alive.wrap([&loop, address, port, done = std::move(done)] {
        auto report = done;  // Outlives the attempt, which `report` may destroy.
        auto socket = connectUdpSocket(address, port);
        if (!socket) return report(tl::unexpected(socket.error()));
        report(adoptDatagramSocket(loop, *std::move(socket)));
    }));
    return connecting;
}

Result<ListenerPtr> listenUdp(Loop& loop, const std::string& address, std::uint16_t port,
                              Listener::Accepted accepted, UdpOptions options)
{
    TRY(auto at, Address::of(address, port));
    bool ipv6 = at.storage.ss_family == AF_INET6;
    std::string what = ipv6 ? fmt::format("bind [{}]:{}/udp", address, port)
                            : fmt::format("bind {}:{}/udp", address, port);
    Descriptor socket = newSocket(at);
    if (!socket) return failErrno(what, errno);
    int on = 1;
    if (ipv6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(socket.get(), at.any(), at.size) < 0) return failErrno(what, errno);
    return std::make_unique<UdpListener>(loop, std::move(socket), std::move(accepted), options);
}

}  // namespace slipway
