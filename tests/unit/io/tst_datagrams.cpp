// UDP as streams of frames, as bridge and agent have it: a published port, a stream between, and a
// connected socket at its far end.
#include <list>
#include <map>
#include <set>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <QtTest>

#include "shared/io/datagrams.h"
#include "shared/io/published_port.h"
#include "shared/io/relay.h"
#include "tests/support/run_until.h"
#include "tests/support/wire.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// A UDP socket of a program: bound to a port that the kernel chooses.
class Socket {
public:
    explicit Socket(const std::string& address = "127.0.0.1", std::uint16_t wanted = 0)
        : m_ipv6(address == "::1")
    {
        m_socket.reset(
            ::socket(m_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_storage any = at(wanted);
        if (::bind(m_socket.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0)
            std::abort();
        int bytes = 1 << 20;
        ::setsockopt(m_socket.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        socklen_t length = sizeof any;
        ::getsockname(m_socket.get(), reinterpret_cast<sockaddr*>(&any), &length);
        port = ntohs(reinterpret_cast<sockaddr_in*>(&any)->sin_port);
    }

    bool send(const std::string& text, std::uint16_t to) const
    {
        sockaddr_storage peer = at(to);
        return ::sendto(m_socket.get(), text.data(), text.size(), 0,
                        reinterpret_cast<sockaddr*>(&peer),
                        sizeof peer) == static_cast<ssize_t>(text.size());
    }
    // One datagram and the port that it came from.
    std::optional<std::pair<std::string, std::uint16_t>> receive() const
    {
        std::string text(65536, '\0');
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        ssize_t count = ::recvfrom(m_socket.get(), text.data(), text.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
        if (count < 0) return std::nullopt;
        text.resize(static_cast<std::size_t>(count));
        return std::pair{text, ntohs(reinterpret_cast<sockaddr_in*>(&from)->sin_port)};
    }

    std::uint16_t port = 0;

private:
    sockaddr_storage at(std::uint16_t to) const
    {
        sockaddr_storage storage{};
        if (m_ipv6)
            uv_ip6_addr("::1", to, reinterpret_cast<sockaddr_in6*>(&storage));
        else
            uv_ip4_addr("127.0.0.1", to, reinterpret_cast<sockaddr_in*>(&storage));
        return storage;
    }

    bool m_ipv6;
    Descriptor m_socket;
};

std::uint16_t freePort(const std::string& address = "127.0.0.1")
{
    return Socket(address).port;
}

// Bridge and agent, on one loop.
struct Way {
    Loop loop;
    std::list<std::unique_ptr<Relay>> relays;
    std::unique_ptr<PublishedPort> published;
    std::uint16_t port;
    bool handed = false;  // The agent's socket itself, instead of a stream to it.

    Way(const std::string& address, std::uint16_t container) : port(freePort(address))
    {
        auto bound = PublishedPort::bind(
            loop, {Protocol::Udp, address, port},
            [this, address, container](const SocketEnds&, ConnectDone done) {
                return connectUdp(loop, address, container, [this, done](Result<StreamPtr> target) {
                    if (handed || !target) return done(std::move(target));
                    WirePair pair = wirePair();
                    relays.push_back(
                        std::make_unique<Relay>(*adoptSocket(loop, std::move(pair.test)),
                                                *std::move(target), [](Result<>) {}));
                    relays.back()->start();
                    done(adoptSocket(loop, std::move(pair.program)));
                });
            });
        if (!bound) std::abort();
        published = std::move(*bound);
    }

    std::optional<std::pair<std::string, std::uint16_t>> arrives(const Socket& at)
    {
        std::optional<std::pair<std::string, std::uint16_t>> got;
        runUntil(loop, [&] { return (got = at.receive()).has_value(); });
        return got;
    }
};

std::string frame(const std::string& text)
{
    return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size())} + text;
}

}  // namespace

class TestDatagrams : public QObject {
    Q_OBJECT

private slots:
    void passesDatagramsBothWays_data()
    {
        QTest::addColumn<std::string>("address");
        QTest::addColumn<bool>("handed");
        QTest::addColumn<int>("bytes");
        for (const char* address : {"127.0.0.1", "::1"}) {
            for (bool handed : {false, true}) {
                for (int bytes : {0, 1, 512, 1472, 9000, static_cast<int>(kMaxDatagramBytes)})
                    QTest::addRow("%s %s %d", address, handed ? "handed" : "relayed", bytes)
                        << std::string(address) << handed << bytes;
            }
        }
    }
    void passesDatagramsBothWays()
    {
        QFETCH(std::string, address);
        QFETCH(bool, handed);
        QFETCH(int, bytes);
        Socket container(address), client(address);
        Way way(address, container.port);
        way.handed = handed;
        std::string text(static_cast<std::size_t>(bytes), 'x');
        QVERIFY(client.send(text, way.port));
        auto asked = way.arrives(container);
        QVERIFY(asked);
        QCOMPARE(asked->first.size(), text.size());
        QVERIFY(asked->first == text);
        QVERIFY(container.send(text, asked->second));
        auto answered = way.arrives(client);
        QVERIFY(answered);
        QVERIFY(answered->first == text);
        QCOMPARE(answered->second, way.port);
    }

    void eachPeerKeepsAPortOfItsOwn()
    {
        Socket container;
        std::list<Socket> clients(5);
        Way way("127.0.0.1", container.port);
        std::map<std::string, std::uint16_t> portOf;
        for (int round = 0; round < 3; ++round) {
            int number = 0;
            for (const auto& client : clients) {
                std::string name = "client" + std::to_string(number++);
                QVERIFY(client.send(name, way.port));
                auto asked = way.arrives(container);
                QVERIFY(asked && asked->first == name);
                if (round == 0) portOf[name] = asked->second;
                QCOMPARE(asked->second, portOf[name]);
                QVERIFY(container.send("to " + name, asked->second));
                auto answered = way.arrives(client);
                QVERIFY(answered && answered->first == "to " + name);
            }
        }
        std::set<std::uint16_t> ports;
        for (const auto& [name, port] : portOf) ports.insert(port);
        QCOMPARE(ports.size(), clients.size());
    }

    // Of all addresses that a port is bound to, the one that was asked answers.
    void theAddressAskedAnswers()
    {
        Loop loop;
        std::list<StreamPtr> streams;
        std::list<std::unique_ptr<Relay>> echoes;
        auto listener = listenUdp(loop, "0.0.0.0", 0, [&](StreamPtr stream) {
            WirePair pair = wirePair();
            echoes.push_back(std::make_unique<Relay>(
                std::move(stream), *adoptSocket(loop, std::move(pair.program)), [](Result<>) {}));
            echoes.back()->start();
            streams.push_back(*adoptSocket(loop, std::move(pair.test)));
            StreamPtr& back = streams.back();
            back->read([&back](Result<ByteStream::Bytes> bytes) { back->writeNow(*bytes); });
        });
        QVERIFY(listener);
        Descriptor client(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        for (const char* address : {"127.0.0.2", "127.0.0.3", "127.0.0.1"}) {
            sockaddr_in to{};
            uv_ip4_addr(address, (*listener)->port(), &to);
            QCOMPARE(::sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
                     ssize_t{1});
            sockaddr_in from{};
            socklen_t size = sizeof from;
            char got = 0;
            QVERIFY(runUntil(loop, [&] {
                return ::recvfrom(client.get(), &got, 1, 0, reinterpret_cast<sockaddr*>(&from),
                                  &size) == 1;
            }));
            QCOMPARE(from.sin_addr.s_addr, to.sin_addr.s_addr);
        }
        QCOMPARE(streams.size(), std::size_t{3});
    }

    void aBurstLosesNothing()
    {
        constexpr int kDatagrams = 200;  // That the kernel has room for.
        Socket container, client;
        Way way("127.0.0.1", container.port);
        for (int i = 0; i < kDatagrams; ++i)
            QVERIFY(client.send(std::to_string(i) + std::string(500, '.'), way.port));
        for (int i = 0; i < kDatagrams; ++i) {
            auto asked = way.arrives(container);
            QVERIFY(asked);
            QVERIFY(asked->first.starts_with(std::to_string(i) + "."));
        }
        QVERIFY(way.published->bytes() > std::uint64_t{kDatagrams} * 500);
    }

    void aContainerThatDoesNotListenYetMayComeLater_data()
    {
        QTest::addColumn<bool>("handed");
        QTest::newRow("relayed") << false;
        QTest::newRow("handed") << true;
    }
    void aContainerThatDoesNotListenYetMayComeLater()
    {
        QFETCH(bool, handed);
        std::uint16_t later = freePort();
        Socket client;
        Way way("127.0.0.1", later);
        way.handed = handed;
        QVERIFY(client.send("lost", way.port));
        runUntil(
            way.loop, [] { return false; }, std::chrono::milliseconds(50));
        Socket container("127.0.0.1", later);
        QVERIFY(runUntil(way.loop, [&] {
            client.send("here", way.port);
            auto asked = container.receive();
            return asked && container.send("there", asked->second);
        }));
        auto answered = way.arrives(client);
        QVERIFY(answered && answered->first == "there");
    }

    void silentPeersEnd()
    {
        Loop loop;
        std::list<StreamPtr> streams;
        auto listener = listenUdp(loop, "127.0.0.1", 0,
                                  [&](StreamPtr stream) { streams.push_back(std::move(stream)); },
                                  {.silence = std::chrono::milliseconds(100)});
        QVERIFY(listener);
        Socket client;
        QVERIFY(client.send("a", (*listener)->port()));
        QVERIFY(runUntil(loop, [&] { return streams.size() == 1; }));
        std::string got;
        bool ended = false;
        std::function<void()> read = [&] {
            streams.front()->read([&](Result<ByteStream::Bytes> bytes) {
                ended = bytes->empty();
                got += textOf(*bytes);
                if (!ended) read();
            });
        };
        read();
        QVERIFY(runUntil(loop, [&] { return ended; }));
        QCOMPARE(got, frame("a"));
        QVERIFY(client.send("b", (*listener)->port()));
        QVERIFY(runUntil(loop, [&] { return streams.size() == 2; }));
    }

    void theMostSilentMakesRoom()
    {
        Loop loop;
        std::list<StreamPtr> streams;
        auto listener = listenUdp(loop, "127.0.0.1", 0,
                                  [&](StreamPtr stream) { streams.push_back(std::move(stream)); },
                                  {.maxPeers = 2});
        QVERIFY(listener);
        std::list<Socket> clients(3);
        for (const auto& client : clients) {
            auto before = streams.size();
            QVERIFY(client.send("a", (*listener)->port()));
            QVERIFY(runUntil(loop, [&] { return streams.size() == before + 1; }));
        }
        int reads = 0;
        bool ended = false;
        std::function<void()> read = [&] {
            streams.front()->read([&](Result<ByteStream::Bytes> bytes) {
                ended = bytes->empty();
                if (++reads < 2) read();
            });
        };
        read();
        QVERIFY(runUntil(loop, [&] { return reads == 2; }));
        QVERIFY(ended);
        streams.clear();  // In any order with the listener.
        listener->reset();
    }

    void whatNobodyReadsIsBounded()
    {
        Loop loop;
        StreamPtr stream;
        auto listener =
            listenUdp(loop, "127.0.0.1", 0, [&](StreamPtr made) { stream = std::move(made); },
                      {.maxWaitingBytes = 10000});
        QVERIFY(listener);
        Socket client;
        for (int i = 0; i < 100; ++i) {
            QVERIFY(client.send(std::string(1000, 'x'), (*listener)->port()));
            runUntil(
                loop, [] { return false; }, std::chrono::milliseconds(1));
        }
        std::size_t size = 0;
        stream->read([&](Result<ByteStream::Bytes> bytes) { size = bytes->size(); });
        QVERIFY(runUntil(loop, [&] { return size > 0; }));
        QVERIFY(size <= 10000 && size >= 8000);
        listener->reset();  // The stream outlives it.
        bool written = false;
        stream->write(bytesOf("ab"), [&](Result<>) { written = true; });
        QVERIFY(runUntil(loop, [&] { return written; }));
    }

    void framesComeInPieces()
    {
        Loop loop;
        Socket container;
        auto stream = adoptSocket(loop, *connectUdpSocket("127.0.0.1", container.port));
        QVERIFY(stream);
        for (char each : frame("first") + frame("") + frame(std::string(300, 'y')))
            QCOMPARE((*stream)->writeNow(bytesOf({&each, 1})), std::size_t{1});
        for (const auto& text : {std::string("first"), std::string(), std::string(300, 'y')}) {
            auto got = container.receive();
            QVERIFY(got && got->first == text);
        }
        QVERIFY(!container.receive());
    }

    void errorsNameWhatWasAsked()
    {
        Loop loop;
        Socket held;
        auto taken = listenUdp(loop, "127.0.0.1", held.port, [](StreamPtr) {});
        QVERIFY(!taken);
        QVERIFY(taken.error().code == Code::AlreadyExists);
        QVERIFY(taken.error().message.find("/udp") != std::string::npos);
        QVERIFY(!listenUdp(loop, "nonsense", 1, [](StreamPtr) {}));
        QVERIFY(!connectUdpSocket("nonsense", 1));
    }
};

QTEST_GUILESS_MAIN(TestDatagrams)
#include "tst_datagrams.moc"
