// Ports without a port proxy: the kernel's own list of sockets, and what the engine says.
#include <QtTest>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "linux-vm-agent/ports/host_listeners.h"
#include "linux-vm-agent/ports/socket_owners.h"
#include "shared/io/descriptor.h"

using namespace slipway;

namespace {

struct Bound {
    Descriptor socket;
    std::uint16_t port = 0;
};

// Bound to a port that the kernel chooses; a TCP socket listens.
Bound bound(int family, int type, bool ipv6Only = false)
{
    Bound made{Descriptor(::socket(family, type | SOCK_CLOEXEC, 0))};
    sockaddr_in6 all{};
    all.sin6_family = static_cast<sa_family_t>(family);  // All zeros mean the same in both.
    socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof all;
    int alone = ipv6Only ? 1 : 0;
    if (family == AF_INET6)
        ::setsockopt(made.socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone);
    auto* address = reinterpret_cast<sockaddr*>(&all);
    if (::bind(made.socket.get(), address, length) != 0) return made;
    if (type == SOCK_STREAM && ::listen(made.socket.get(), 1) != 0) return made;
    ::getsockname(made.socket.get(), address, &length);
    made.port = ntohs(all.sin6_port);
    return made;
}

// "0.0.0.0 ::", sorted, for one port.
QStringList listed(const char* protocol, std::uint16_t port)
{
    QStringList addresses;
    auto sockets = listeningSockets();
    if (!sockets) return {sockets.error().message.c_str()};
    for (const ListeningSocket& socket : *sockets)
        if (socket.protocol == protocol && socket.port == port) addresses += socket.address.c_str();
    addresses.sort();
    return addresses;
}

}  // namespace

class TestHostListeners : public QObject {
    Q_OBJECT

private slots:
    void listsWhoListens_data()
    {
        QTest::addColumn<int>("family");
        QTest::addColumn<int>("type");
        QTest::addColumn<bool>("ipv6Only");
        QTest::addColumn<QStringList>("addresses");
        QTest::newRow("tcp") << AF_INET << int(SOCK_STREAM) << false << QStringList{"0.0.0.0"};
        QTest::newRow("tcp, both families")
            << AF_INET6 << int(SOCK_STREAM) << false << QStringList{"0.0.0.0", "::"};
        QTest::newRow("tcp, IPv6 alone")
            << AF_INET6 << int(SOCK_STREAM) << true << QStringList{"::"};
        QTest::newRow("udp") << AF_INET << int(SOCK_DGRAM) << false << QStringList{"0.0.0.0"};
        QTest::newRow("udp, both families")
            << AF_INET6 << int(SOCK_DGRAM) << false << QStringList{"0.0.0.0", "::"};
    }
    void listsWhoListens()
    {
        QFETCH(int, family);
        QFETCH(int, type);
        QFETCH(bool, ipv6Only);
        QFETCH(QStringList, addresses);
        Bound socket = bound(family, type, ipv6Only);
        if (socket.port == 0) QSKIP("no IPv6 here; boot without ipv6.disable=1");
        const char* protocol = type == SOCK_STREAM ? "tcp" : "udp";
        QCOMPARE(listed(protocol, socket.port), addresses);
        socket.socket.reset();
        QCOMPARE(listed(protocol, socket.port), QStringList());
    }

    // As a resolver's socket is.
    void leavesOutADatagramSocketWithAPeer()
    {
        Bound socket = bound(AF_INET, SOCK_DGRAM);
        sockaddr_in peer{};
        peer.sin_family = AF_INET;
        peer.sin_port = htons(9);
        peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        QCOMPARE(::connect(socket.socket.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer),
                 0);
        QCOMPARE(listed("udp", socket.port), QStringList());
    }

    void aSocketOfThisProcessIsNoContainers()
    {
        Bound socket = bound(AF_INET, SOCK_STREAM);
        std::uint64_t inode = 0;
        auto sockets = listeningSockets();
        QVERIFY(sockets.has_value());
        for (const ListeningSocket& one : *sockets)
            if (one.port == socket.port) inode = one.inode;
        QVERIFY(inode != 0);
        auto owners = ownersOfSockets({inode, 1});
        QCOMPARE(owners.size(), std::size_t{1});
        QCOMPARE(owners.at(inode), std::string());
    }

    void isReachedOnTheMachinesLoopback_data()
    {
        QTest::addColumn<QString>("address");
        QTest::addColumn<QString>("published");
        QTest::newRow("all") << "0.0.0.0"
                             << "tcp 0.0.0.0 80 127.0.0.1 80 container web";
        QTest::newRow("all, IPv6") << "::"
                                   << "tcp :: 80 ::1 80 container web";
        QTest::newRow("loopback") << "127.0.0.1"
                                  << "tcp 127.0.0.1 80 127.0.0.1 80 container web";
        QTest::newRow("the machine's own") << "172.17.0.1"
                                           << "";
    }
    void isReachedOnTheMachinesLoopback()
    {
        QFETCH(QString, address);
        QFETCH(QString, published);
        auto port = portOf({"tcp", address.toStdString(), 80, 1}, "web");
        QCOMPARE(port ? toText(*port) : std::string(), published.toStdString());
        if (port) QVERIFY(parsePort(toText(*port)) == port);
    }

    void readsTheEnginesContainers()
    {
        auto containers = parseHostContainers(
            R"([{"Id":"a1","Names":["/web"]},{"Id":"b2","Names":null},{"Names":["/odd"]}])");
        QVERIFY(containers.has_value());
        QCOMPARE(containers->at("a1"), std::string("web"));
        QCOMPARE(containers->at("b2"), std::string("b2"));
        QVERIFY(!parseHostContainers("{}").has_value());
    }

    void readsTheIngressPortsOfServices()
    {
        auto ports = parseIngressPorts(R"([{"Spec":{"Name":"web"},"Endpoint":{"Ports":[
            {"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"},
            {"Protocol":"tcp","TargetPort":81,"PublishedPort":8081,"PublishMode":"host"}]}},
            {"Spec":{"Name":"none"},"Endpoint":{"Spec":{}}}])");
        QVERIFY(ports.has_value());
        QCOMPARE(ports->size(), std::size_t{2});
        QCOMPARE(toText(ports->front()),
                 std::string("tcp 0.0.0.0 8080 127.0.0.1 8080 service web"));
        QCOMPARE(ports->back().hostAddress, std::string("::"));
    }
};

QTEST_GUILESS_MAIN(TestHostListeners)
#include "tst_host_listeners.moc"
