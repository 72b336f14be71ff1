// Theory of operation. A socket is read many datagrams at a time (recvmmsg(2)) into room that all
// sockets of a thread share, and what came is handed on as frames, so that a burst costs few system
// calls and few writes. A frame that is written may come in pieces; whole ones are sent at once.
//
// A bound socket knows its peers by their addresses and by the one they sent to, from which they
// get their answers (IP_PKTINFO, ip(7)): a socket that is bound to all of them would else choose
// one. One that gets what was sent elsewhere (TPROXY) answers from there by a socket a peer, which
// is not connected: else the kernel would give it what the peer sends next. A peer's stream and its
// listener know of each other, and either may go first.
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

#include "shared/core/log.h"
#include "shared/io/frames.h"

namespace slipway {
namespace {

using Bytes = ByteStream::Bytes;
using Buffer = Frames;

constexpr std::size_t kAtOnce = 32;
constexpr std::size_t kRoomBytes = 65536;  // No datagram is larger.
constexpr int kReceiveBytes = 1 << 20;     // Of the kernel, for bursts; it gives what it allows.

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

// The address of ours that a datagram came to, as sendmsg(2) takes it to send from there.
struct Local {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};  // The largest.
    std::size_t size = 0;                                                          // 0: not known.

    static void askFor(int socket, bool ipv6)
    {
        int on = 1;
        ::setsockopt(socket, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO,
                     &on, sizeof on);
    }
    static Local of(msghdr& message)
    {
        Local local;
        for (cmsghdr* at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
            if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
                in_pktinfo info{};
                std::memcpy(&info, CMSG_DATA(at), sizeof info);
                info.ipi_ifindex = 0;  // By whatever way leads there.
                local.put(*at, info);
            } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
                in6_pktinfo info{};
                std::memcpy(&info, CMSG_DATA(at), sizeof info);
                if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
                local.put(*at, info);
            } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_ORIGDSTADDR) {
                sockaddr_in asked{};
                std::memcpy(&asked, CMSG_DATA(at), sizeof asked);
                local.put(*at, asked);
            }
        }
        return local;
    }
    // The same for a transparent socket, which no sendmsg(2) takes: the port too.
    static void askForDestination(int socket)
    {
        int on = 1;
        ::setsockopt(socket, IPPROTO_IP, IP_RECVORIGDSTADDR, &on, sizeof on);
    }
    sockaddr_in destination() const
    {
        sockaddr_in asked{};
        std::memcpy(&asked, control.data() + CMSG_LEN(0), sizeof asked);
        return asked;
    }
    std::string_view bytes() const { return {control.data(), size}; }

private:
    template <class Info>
    void put(const cmsghdr& as, const Info& info)
    {
        cmsghdr header{};
        header.cmsg_len = CMSG_LEN(sizeof info);
        header.cmsg_level = as.cmsg_level;
        header.cmsg_type = as.cmsg_type;
        std::memcpy(control.data(), &header, sizeof header);
        std::memcpy(control.data() + CMSG_LEN(0), &info, sizeof info);
        size = CMSG_SPACE(sizeof info);
    }
};

std::string textOf(const in_addr& address)
{
    char text[INET_ADDRSTRLEN];
    return ::inet_ntop(AF_INET, &address, text, sizeof text);
}

// Room for one reading of many datagrams.
class Room {
public:
    static Room& ofThread()
    {
        thread_local Room room;
        return room;
    }

    // Calls back with each datagram, who sent it, and where to.
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
            messages[i].msg_hdr.msg_control = m_to[i].control.data();
            messages[i].msg_hdr.msg_controllen = m_to[i].control.size();
        }
        // An error is what the peer refused before (ICMP, udp(7)), and told but once.
        int count = ::recvmmsg(socket, messages.data(), kAtOnce, 0, nullptr);
        for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
            m_from[i].size = messages[i].msg_hdr.msg_namelen;
            each(m_from[i], Local::of(messages[i].msg_hdr),
                 Bytes(m_bytes.data() + i * kRoomBytes, messages[i].msg_len));
        }
    }

private:
    Buffer m_bytes{kAtOnce * kRoomBytes};
    std::array<Address, kAtOnce> m_from;
    std::array<Local, kAtOnce> m_to;
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
        Room::ofThread().receive(m_socket.get(),
                                 [this](const Address&, const Local&, Bytes datagram) {
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
    // A peer, and what it has sent to.
    using Came = std::function<void(StreamPtr, const Local&)>;
    // The socket that answers a peer; none: the one that listens.
    using SenderFor = std::function<Descriptor(const Local&)>;

    UdpListener(Loop& loop, Descriptor socket, Came accepted, SenderFor senderFor,
                UdpOptions options)
        : m_loop(loop),
          m_socket(std::move(socket)),
          m_accepted(std::move(accepted)),
          m_senderFor(std::move(senderFor)),
          m_options(options),
          m_readable(loop, m_socket.get(), [this] { ready(); }),
          m_sweep(loop)
    {
        m_readable.watch(true);
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
        Peer(UdpListener& listener, std::string key, const Address& address, const Local& ours)
            : FrameStream(listener.m_loop),
              m_listener(&listener),
              m_key(std::move(key)),
              m_address(address),
              m_ours(ours)
        {
        }
        ~Peer() override
        {
            if (m_listener) m_listener->m_peers.erase(m_key);
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
            iovec place{const_cast<std::byte*>(datagram.data()), datagram.size()};
            msghdr message{};
            message.msg_name = m_address.any();
            message.msg_namelen = m_address.size;
            message.msg_iov = &place;
            message.msg_iovlen = 1;
            if (m_listener->m_senderFor && !m_sender) m_sender = m_listener->m_senderFor(m_ours);
            if (!m_sender) {
                message.msg_control = m_ours.control.data();
                message.msg_controllen = m_ours.size;
            }
            int socket = m_sender ? m_sender.get() : m_listener->m_socket.get();
            ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }

        UdpListener* m_listener;  // Null: it has gone.
        std::string m_key;
        Address m_address;
        Local m_ours;
        Descriptor m_sender;
        Clock::time_point m_last = Clock::now();
    };

    void ready()
    {
        std::vector<std::string> spoke;
        auto came = [&](const Address& from, const Local& to, Bytes datagram) {
            std::string key = std::string(from.bytes()).append(to.bytes());
            peerAt(key, from, to).came(datagram);
            if (spoke.empty() || spoke.back() != key) spoke.push_back(std::move(key));
        };
        Room::ofThread().receive(m_socket.get(), came);
        for (const auto& key : spoke) {
            if (auto peer = m_peers.find(key); peer != m_peers.end()) peer->second->hand();
        }
    }

    Peer& peerAt(const std::string& key, const Address& address, const Local& ours)
    {
        if (auto known = m_peers.find(key); known != m_peers.end()) return *known->second;
        if (m_peers.size() >= m_options.maxPeers) {
            auto silent = std::min_element(
                m_peers.begin(), m_peers.end(),
                [](const auto& a, const auto& b) { return a.second->m_last < b.second->m_last; });
            drop(silent);
        }
        if (m_peers.empty()) m_sweep.every(m_options.silence / 4, [this] { endSilent(); });
        auto peer = std::make_unique<Peer>(*this, key, address, ours);
        Peer& added = *(m_peers[key] = peer.get());
        m_accepted(std::move(peer), ours);
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
        if (m_peers.empty()) m_sweep.stop();
    }

    Loop& m_loop;
    Descriptor m_socket;
    Came m_accepted;
    SenderFor m_senderFor;
    UdpOptions m_options;
    Readable m_readable;
    Timer m_sweep;
    std::map<std::string, Peer*> m_peers;  // By both addresses; each is its relay's.
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
    Local::askFor(socket.get(), ipv6);
    if (::bind(socket.get(), at.any(), at.size) < 0) return failErrno(what, errno);
    return std::make_unique<UdpListener>(
        loop, std::move(socket),
        [accepted = std::move(accepted)](StreamPtr peer, const Local&) {
            accepted(std::move(peer));
        },
        nullptr, options);
}

Result<ListenerPtr> listenTransparently(Loop& loop, TransparentUdp udp, UdpOptions options)
{
    Local::askForDestination(udp.socket.get());
    auto came = [accepted = std::move(udp.accepted)](StreamPtr peer, const Local& to) {
        sockaddr_in asked = to.destination();
        accepted(std::move(peer), textOf(asked.sin_addr), ntohs(asked.sin_port));
    };
    auto senderFor = [bindTo = std::move(udp.bindTo)](const Local& from) {
        sockaddr_in asked = from.destination();
        auto sender = bindTo(textOf(asked.sin_addr), ntohs(asked.sin_port));
        if (!sender) log::warn("udp: {}", sender.error().message);
        return sender ? *std::move(sender) : Descriptor();
    };
    return std::make_unique<UdpListener>(loop, std::move(udp.socket), std::move(came),
                                         std::move(senderFor), options);
}

}  // namespace slipway
