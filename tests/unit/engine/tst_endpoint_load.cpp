// Many streams and many busy clients at once: an engine that numbers its events, and clients that
// look for every number. Engine and clients have threads of their own, with plain sockets.
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include <QTemporaryDir>
#include <QtTest>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/io/descriptor.h"
#include "tests/support/run_until.h"
#include "wsl-bridge/engine/endpoint.h"
#include "wsl-bridge/engine/machine_engine.h"
#include "wsl-bridge/engine/remote_engine.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

namespace {

constexpr int kStreams = 200;
constexpr int kEvents = 1000;  // Told to each stream, in bursts.
constexpr int kClients = 20;
constexpr auto kPatience = 120s;

Descriptor unixSocket(const std::filesystem::path& path, bool listens)
{
    Descriptor made(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (listens ? SOCK_NONBLOCK : 0), 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    auto* plain = reinterpret_cast<const sockaddr*>(&address);
    bool done = listens ? ::bind(made.get(), plain, sizeof address) == 0 &&
                              ::listen(made.get(), SOMAXCONN) == 0
                        : ::connect(made.get(), plain, sizeof address) == 0;
    return done ? std::move(made) : Descriptor();
}

std::string eventText(int number)
{
    std::string line = fmt::format("{{\"event\":{},\"filler\":\"{}\"}}\n", number,
                                   std::string(static_cast<std::size_t>(number % 300), 'x'));
    return fmt::format("{:x}\r\n{}\r\n", line.size(), line);
}

// Sockets that one thread watches; each has what was read and not understood, and what is to be
// written.
class Peers {
public:
    struct Peer {
        Descriptor socket;
        std::string in;
        std::string out;
        int number = 0;
    };

    Peers() : m_epoll(::epoll_create1(EPOLL_CLOEXEC)) {}

    Peer& add(Descriptor socket)
    {
        int fd = socket.get();
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        epoll_event event{EPOLLIN, {.fd = fd}};
        ::epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, fd, &event);
        Peer& peer = m_peers[fd];
        peer.socket = std::move(socket);
        return peer;
    }
    void remove(Peer& peer) { m_peers.erase(peer.socket.get()); }
    std::map<int, Peer>& all() { return m_peers; }

    // Calls `ready` for each that can be read.
    template <class Ready>
    void poll(int milliseconds, Ready ready)
    {
        std::array<epoll_event, 64> events;
        int count = ::epoll_wait(m_epoll.get(), events.data(), events.size(), milliseconds);
        for (int i = 0; i < count; ++i) ready(events[static_cast<std::size_t>(i)].data.fd);
    }
    // False at its end.
    static bool readInto(Peer& peer)
    {
        std::array<char, 4096> part;
        ssize_t count = ::read(peer.socket.get(), part.data(), part.size());
        if (count > 0) peer.in.append(part.data(), static_cast<std::size_t>(count));
        return count > 0 || (count < 0 && errno == EAGAIN);
    }
    static void write(Peer& peer)
    {
        ssize_t count = ::send(peer.socket.get(), peer.out.data(), peer.out.size(), MSG_NOSIGNAL);
        if (count > 0) peer.out.erase(0, static_cast<std::size_t>(count));
    }

private:
    Descriptor m_epoll;
    std::map<int, Peer> m_peers;
};

// GET /events: all numbers, in bursts as long as the socket takes them. GET /echo/X: X.
void runEngine(Descriptor listener, const std::atomic<bool>& stop)
{
    Peers peers;
    int listens = listener.get();
    peers.add(std::move(listener));
    std::mt19937 chosen(1);
    auto serve = [&](Peers::Peer& peer) {
        for (std::size_t end; (end = peer.in.find("\r\n\r\n")) != std::string::npos;) {
            std::string target = peer.in.substr(4, peer.in.find(' ', 4) - 4);
            peer.in.erase(0, end + 4);
            if (target == "/events") {
                peer.out += "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                peer.number = 1;
            } else {
                std::string body = target.substr(target.rfind('/') + 1);
                peer.out += fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                                        body.size(), body);
            }
        }
    };
    while (!stop) {
        peers.poll(1, [&](int fd) {
            if (fd == listens) {
                Descriptor client(::accept4(listens, nullptr, nullptr, SOCK_CLOEXEC));
                if (client) peers.add(std::move(client));
                return;
            }
            Peers::Peer& peer = peers.all().at(fd);
            if (!Peers::readInto(peer)) return peers.remove(peer);
            serve(peer);
        });
        for (auto& [fd, peer] : peers.all()) {
            int burst = peer.number ? static_cast<int>(chosen() % 8) : 0;
            for (; burst > 0 && peer.number <= kEvents && peer.out.size() < 4096; --burst)
                peer.out += eventText(peer.number++);
            if (peer.number > kEvents) {
                peer.out += "0\r\n\r\n";
                peer.number = 0;
            }
            if (!peer.out.empty()) Peers::write(peer);
        }
    }
}

// What is wrong with what the streams were told; empty: nothing.
std::string followEvents(const std::filesystem::path& socket, const std::atomic<bool>& stop)
{
    Peers peers;
    for (int i = 0; i < kStreams; ++i) {
        Descriptor connected = unixSocket(socket, false);
        if (!connected) return "a stream can't connect";
        Peers::Peer& peer = peers.add(std::move(connected));
        peer.out = "GET /events HTTP/1.1\r\nHost: d\r\n\r\n";
        Peers::write(peer);
    }
    std::string wanted = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int number = 1; number <= kEvents; ++number) wanted += eventText(number);
    wanted += "0\r\n\r\n";
    int whole = 0;
    std::string wrong;
    while (!stop && whole < kStreams && wrong.empty()) {
        peers.poll(100, [&](int fd) {
            auto found = peers.all().find(fd);
            Peers::Peer& peer = found->second;
            std::size_t before = peer.in.size();
            if (!Peers::readInto(peer)) wrong = fmt::format("ended after {} bytes", before);
            if (wanted.compare(before, peer.in.size() - before, peer.in, before) != 0)
                wrong = fmt::format("other than sent behind byte {}: {}", before,
                                    peer.in.substr(before, 100));
            if (peer.in.size() < wanted.size()) return;
            ++whole;
            peers.remove(peer);
        });
    }
    return wrong;
}

// Asks, over connections that it renews now and then, while the streams go on.
std::string keepAsking(const std::filesystem::path& socket, const std::atomic<bool>& stop, int seed)
{
    std::mt19937 chosen(static_cast<unsigned>(seed));
    while (!stop) {
        Peers::Peer peer{.socket = unixSocket(socket, false)};
        if (!peer.socket) return "a client can't connect";
        for (unsigned turns = chosen() % 20; turns > 0 && !stop; --turns) {
            std::string word = fmt::format("{}x{}", seed, std::string(chosen() % 3000, 'y'));
            peer.out = fmt::format("GET /echo/{} HTTP/1.1\r\nHost: d\r\n\r\n", word);
            Peers::write(peer);
            std::string wanted =
                fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", word.size(), word);
            peer.in.clear();
            while (peer.in.size() < wanted.size())
                if (!Peers::readInto(peer)) return "a client's connection ended";
            if (peer.in != wanted) return "a client was told " + peer.in.substr(0, 200);
        }
    }
    return {};
}

}  // namespace

class TestEndpointLoad : public QObject {
    Q_OBJECT

private slots:
    void initTestCase()
    {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;  // Each stream has four descriptors in this process.
        QCOMPARE(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    }

    void everyStreamIsToldEveryEvent()
    {
        QTemporaryDir dir;
        std::filesystem::path folder = dir.path().toStdString();
        std::atomic<bool> stop = false;
        std::atomic<int> asking = kClients;
        std::atomic<bool> followed = false;
        Descriptor listener = unixSocket(folder / "engine.sock", true);
        QVERIFY(listener);
        Loop loop;
        MachineEngine engine(loop, {.user = *invokingUser(),
                                    .endpointSockets = {folder / "docker.sock"},
                                    .recordsDir = folder / "records"});
        auto endpoint =
            Endpoint::listen(loop, folder / "docker.sock", [&] { return engine.context(); });
        QVERIFY(endpoint.has_value());
        std::thread serving(runEngine, std::move(listener), std::cref(stop));
        // Past setAvailability(): this engine could not answer what the bridge itself asks.
        engine.context()->engine.set(
            {.dial = engineAt(loop, {.socket = folder / "engine.sock"}, std::nullopt)});
        std::string wrong;
        std::vector<std::string> wrongs(kClients);
        std::thread following([&] {
            wrong = followEvents(folder / "docker.sock", stop);
            followed = true;
        });
        std::vector<std::thread> clients;
        for (int i = 0; i < kClients; ++i)
            clients.emplace_back([&, i] {
                wrongs[static_cast<std::size_t>(i)] =
                    keepAsking(folder / "docker.sock", followed, i);
                --asking;
            });
        bool inTime = runUntil(
            loop, [&] { return followed && asking == 0; }, kPatience);
        stop = followed = true;
        (*endpoint).reset();  // Whoever waits for an answer sees an end.
        following.join();
        for (auto& client : clients) client.join();
        serving.join();
        QVERIFY(inTime);
        QVERIFY2(wrong.empty(), wrong.c_str());
        for (const std::string& told : wrongs) QVERIFY2(told.empty(), told.c_str());
    }
};

QTEST_APPLESS_MAIN(TestEndpointLoad)
#include "tst_endpoint_load.moc"
