// The way from containers to their host: names, services of the host's loopback, and everything
// else where the egress is by the host.
//
// The test has a host of its own, and beside it an outside world: a network namespace with one
// server. Addresses are of 198.18.0.0/15, which is for tests (RFC 2544).
#include <fstream>

#include <QNetworkDatagram>
#include <QTcpServer>
#include <QTcpSocket>
#include <QUdpSocket>
#include <QtTest>
#include <fmt/format.h>

#include "shared/json/json.h"
#include "shared/process/child.h"
#include "tests/support/own_host.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr const char* kNat = R"({"egress": "nat"})";
constexpr const char* kOutside = "198.18.0.2";

// The world beyond the host: TCP on port 80, where each client gets a line with its own address and
// then all that it sends, and UDP on port 80, which echoes. And a name server for the host, on
// 127.0.0.1, which knows the outside.test of every type by a text.
constexpr const char* kWorld = R"(
ip netns add outside
ip link add out0 type veth peer name eth0 netns outside
ip addr add 198.18.0.1/30 dev out0
ip link set out0 up
ip -n outside addr add 198.18.0.2/30 dev eth0
ip -n outside link set eth0 up
ip -n outside link set lo up
cat >/mnt/outside.py <<'END'
import socket, socketserver, threading
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(f"you are {self.client_address[0]}\n".encode())
        while data := self.request.recv(4096):
            self.request.sendall(data)
class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)
socketserver.UDPServer.max_packet_size = 65536
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
threading.Thread(target=socketserver.ThreadingUDPServer(("198.18.0.2", 80), Udp).serve_forever).start()
Server(("198.18.0.2", 80), Tcp).serve_forever()
END
cat >/mnt/names.py <<'END'
import socket, struct
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
data = {1: bytes([198, 18, 0, 2]), 28: bytes(15) + b"\1", 15: b"\0\5\4mail\xc0\x0c", 16: b"\4text",
        33: b"\0\1\0\2\0\x50\7service\xc0\x0c", 12: b"\3ptr\xc0\x0c", 5: b"\5alias\xc0\x0c"}
while True:
    query, client = server.recvfrom(4096)
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    known = b"outside" in query and kind in data
    head = query[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + bytes([0, known]) + bytes(4)
    answer = head + query[12:end]
    if known:
        answer += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data[kind])) + data[kind]
    server.sendto(answer, client)
END
nsenter --net=/run/netns/outside python3 /mnt/outside.py >/mnt/outside.log 2>&1 &
echo $! >/mnt/pids
python3 /mnt/names.py >/mnt/names.log 2>&1 &
echo $! >>/mnt/pids
echo 'nameserver 127.0.0.1' >/mnt/resolv.conf
mount --bind /mnt/resolv.conf /etc/resolv.conf
printf '127.0.0.1 localhost app.test\n198.18.0.2 named.test\n' >/mnt/hosts
mount --bind /mnt/hosts /etc/hosts
)";

// Answers each connection with a line, and says where it came from.
class Service {
public:
    explicit Service(const QHostAddress& address, const QByteArray& line, quint16 port = 0)
    {
        QObject::connect(&m_server, &QTcpServer::newConnection, [this, line] {
            while (auto* client = m_server.nextPendingConnection()) {
                peers << client->peerAddress().toString();
                client->write(line);
                client->disconnectFromHost();
            }
        });
        if (!m_server.listen(address, port))
            qFatal("listen: %s", qPrintable(m_server.errorString()));
    }
    quint16 port() const { return m_server.serverPort(); }

    QStringList peers;

private:
    QTcpServer m_server;
};

}  // namespace

class TestHostAccess : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    // While the command runs, this process answers.
    Output whileServing(const std::function<Output()>& run)
    {
        Output output;
        std::atomic<bool> done = false;
        std::thread runner([&] {
            output = run();
            done = true;
        });
        while (!done) QTest::qWait(5);
        runner.join();
        return output;
    }
    Output box(const SlipwayFixture::Words& options, const std::string& script)
    {
        SlipwayFixture::Words words{"run", "--rm"};
        words.insert(words.end(), options.begin(), options.end());
        for (const char* word : {"box", "sh", "-c"}) words.push_back(word);
        // Not the last command: that would be the container's first process, which no `timeout`
        // ends.
        words.push_back(script + "\nexit $?");
        return whileServing([&] { return m_slipway->docker(words); });
    }
    // Both ends of a connection, with a limit: nc waits for the other end.
    static std::string fetch(const std::string& host, int port)
    {
        return fmt::format("timeout 5 nc {} {} </dev/null", host, port);
    }
    void byTheHost()
    {
        Output switched = m_slipway->slipway({"egress", "host"});
        QVERIFY2(switched.exitCode == 0, switched.err.c_str());
    }
    // The sockets of the host, with their processes, while a container has a connection open.
    std::string socketsWhileHeld()
    {
        m_slipway->docker({"rm", "-f", "held"});
        m_slipway->docker({"run", "-d", "--name", "held", "box", "sh", "-c",
                           fmt::format("sleep 1000 | nc {} 80", kOutside)});
        eventually([this] { return has(m_slipway->docker({"logs", "held"}).out, "you are"); });
        return bash("ss -Htnp dst 198.18.0.2").out;
    }
    // This host's own python, on a container's network: it can do what busybox can't.
    Output python(const std::string& script)
    {
        m_slipway->docker({"run", "-d", "--name", "net", "box", "sleep", "1000"});
        std::string network =
            m_slipway->docker({"inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "net"}).out;
        return whileServing([&] {
            return bash(fmt::format(
                "nsenter --net=/proc/{}/root{} timeout 20 python3 - <<'END'\n"
                "import socket\n{}END\n",
                m_slipway->machinePid(), network.substr(0, network.find('\n')), script));
        });
    }
    // What comes back of datagrams of these sizes, all from one socket.
    static std::string echoes(const std::string& address, int port)
    {
        return fmt::format(
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "s.settimeout(5)\n"
            "s.connect(('{}', {}))\n"
            "sizes = []\n"
            "for size in (1, 512, 40000):\n"
            "    s.send(bytes(size))\n"
            "    sizes.append(str(len(s.recv(65536))))\n"
            "print(*sizes)\n",
            address, port);
    }
    std::string hostAddress()
    {
        auto state = parseJson(m_slipway->slipway({"status", "--json"}).out, "status");
        std::string subnet(state->at("machine").at("subnet").as_string());
        return subnet.substr(0, subnet.rfind('.')) + ".253";
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
        auto entered = enterOwnHost();
        QVERIFY2(entered, entered ? "" : entered.error().message.c_str());
        Output world = bash(kWorld);
        QVERIFY2(world.exitCode == 0, world.err.c_str());
        m_slipway = std::make_unique<SlipwayFixture>(kNat);
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }
    void cleanupTestCase()
    {
        m_slipway.reset();
        bash("kill $(cat /mnt/pids)");
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (!m_slipway) return;
        m_slipway->slipway({"egress", "nat"});
        m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null; docker network prune -f");
    }

    void hostDockerInternalIsThere_data()
    {
        QTest::addColumn<QString>("options");
        QTest::addColumn<QString>("name");
        QTest::newRow("the bridge") << ""
                                    << "host.docker.internal";
        QTest::newRow("its other name") << ""
                                        << "gateway.docker.internal";
        QTest::newRow("a network of its own") << "--network mine"
                                              << "host.docker.internal";
        QTest::newRow("host-gateway") << "--add-host x.test:host-gateway"
                                      << "x.test";
        QTest::newRow("the machine's network") << "--network host"
                                               << "host.docker.internal";
    }
    // A service that listens on the host's loopback only, as most do while they are developed.
    void hostDockerInternalIsThere()
    {
        QFETCH(QString, options);
        QFETCH(QString, name);
        m_slipway->docker({"network", "create", "mine"});
        Service service(QHostAddress::LocalHost, "from the host\n");
        SlipwayFixture::Words words;
        for (const QString& word : options.split(' ', Qt::SkipEmptyParts))
            words.push_back(word.toStdString());
        Output output = box(words, fetch(name.toStdString(), service.port()));
        QVERIFY2(output.out == "from the host\n", (output.out + output.err).c_str());
        QCOMPARE(service.peers, QStringList{"127.0.0.1"});
    }

    void aServiceOnIpv6AloneIsReached()
    {
        Service service(QHostAddress::LocalHostIPv6, "by IPv6\n");
        QCOMPARE(box({}, fetch("host.docker.internal", service.port())).out,
                 std::string("by IPv6\n"));
    }

    void whereNobodyListensTheConnectionIsReset()
    {
        quint16 port = 0;
        {
            Service gone(QHostAddress::LocalHost, "");
            port = gone.port();
        }
        Output output =
            python(fmt::format("s = socket.create_connection(('{}', {}))\n"
                               "try: print(s.recv(1))\n"
                               "except ConnectionResetError: print('reset')\n",
                               hostAddress(), port));
        QVERIFY2(output.out == "reset\n", (output.out + output.err).c_str());
    }

    void datagramsReachTheHost()
    {
        QUdpSocket echo;
        QVERIFY(echo.bind(QHostAddress::LocalHost));
        connect(&echo, &QUdpSocket::readyRead, [&echo] {
            while (echo.hasPendingDatagrams()) {
                auto datagram = echo.receiveDatagram();
                echo.writeDatagram(datagram.makeReply(datagram.data()));
            }
        });
        Output output = python(echoes(hostAddress(), echo.localPort()));
        QVERIFY2(output.out == "1 512 40000\n", (output.out + output.err).c_str());
    }

    void manyAtOnceAreServed()
    {
        Service service(QHostAddress::LocalHost, "x\n");
        Output output = box({}, fmt::format("for i in $(seq 200); do {} & done; wait",
                                            fetch("host.docker.internal", service.port())));
        QCOMPARE(output.out.size(), std::size_t{400});
    }

    void anInternalNetworkStaysInternal()
    {
        Service service(QHostAddress::LocalHost, "out\n");
        EXIT_0(m_slipway->docker({"network", "create", "--internal", "inner"}));
        Output output = box({"--network", "inner"}, fetch(hostAddress(), service.port()));
        QCOMPARE(output.out, std::string());
        QVERIFY(service.peers.isEmpty());
    }

    void theHostsFileHolds()
    {
        QVERIFY(has(box({}, "nslookup named.test").out, "Address: 198.18.0.2"));
        // What the host calls its own loopback is the host to a container.
        Service service(QHostAddress::LocalHost, "app\n");
        QCOMPARE(box({}, fetch("app.test", service.port())).out, std::string("app\n"));
    }

    void namesAreWhatTheHostResolves()
    {
        QCOMPARE(box({}, "grep ^nameserver /etc/resolv.conf").out,
                 fmt::format("nameserver {}\n", hostAddress()));
        auto look = [this](const std::string& type) {
            return box({}, "nslookup -type=" + type + " outside.test").out;
        };
        QVERIFY2(has(look("a"), "Address: 198.18.0.2"), look("a").c_str());
        QVERIFY2(has(look("aaaa"), "Address: ::1"), look("aaaa").c_str());
        QVERIFY2(has(look("mx"), "mail exchanger = 5 mail.outside.test"), look("mx").c_str());
        QVERIFY2(has(look("txt"), "text = \"text\""), look("txt").c_str());
        QVERIFY2(has(look("srv"), "service = 1 2 80 service.outside.test"), look("srv").c_str());
        QVERIFY2(has(look("cname"), "canonical name = alias.outside.test"), look("cname").c_str());
        QVERIFY2(has(look("ptr"), "name = ptr.outside.test"), look("ptr").c_str());
        Output absent = box({}, "nslookup absent.test");
        QVERIFY2(has(absent.out + absent.err, "NXDOMAIN"), (absent.out + absent.err).c_str());
    }

    void withoutANetworkNamesFailAtOnce()
    {
        bash("echo 'nameserver 192.0.2.9' >/mnt/resolv.conf");
        QElapsedTimer timer;
        timer.start();
        Output output = box({}, "nslookup outside.test");
        auto took = timer.elapsed();
        bash("echo 'nameserver 127.0.0.1' >/mnt/resolv.conf");
        QVERIFY2(has(output.out + output.err, "SERVFAIL"), (output.out + output.err).c_str());
        QVERIFY2(took < 3000, std::to_string(took).c_str());  // With the container's start.
    }

    // Also for the containers' own resolver, which Docker runs on networks that were made.
    void namesAreResolvedOnANetwork()
    {
        EXIT_0(m_slipway->docker({"network", "create", "mine"}));
        Output output = box({"--network", "mine"}, "nslookup outside.test");
        QVERIFY2(has(output.out, "Address: 198.18.0.2"), output.out.c_str());
    }

    void theSettingsMayNarrowIt()
    {
        Service open(QHostAddress::LocalHost, "open\n");
        Service closed(QHostAddress::LocalHost, "closed\n");
        QVERIFY(m_slipway->startWith(
            fmt::format(R"({{"egress": "nat", "host_services": [{}]}})", open.port())));
        QCOMPARE(box({}, fetch("host.docker.internal", open.port())).out, std::string("open\n"));
        QCOMPARE(box({}, fetch("host.docker.internal", closed.port())).out, std::string());
        QVERIFY(closed.peers.isEmpty());
        QVERIFY(m_slipway->startWith(kNat));
    }

    void natIsNoConnectionOfTheHosts()
    {
        QCOMPARE(box({}, fetch(kOutside, 80)).out, std::string("you are 198.18.0.1\n"));
        QVERIFY(!has(socketsWhileHeld(), "slipway-bridge"));
    }

    // Seen by the host's own tools, as by a VPN client or a firewall.
    void byTheHostItIsTheBridgesConnection()
    {
        byTheHost();
        QCOMPARE(box({}, fetch(kOutside, 80)).out, std::string("you are 198.18.0.1\n"));
        std::string sockets = socketsWhileHeld();
        QVERIFY2(has(sockets, "slipway-bridge"), sockets.c_str());
        QVERIFY(has(m_slipway->slipway({"status"}).out, "egress host"));
    }

    void byTheHostDatagramsGoToo()
    {
        byTheHost();
        Output output = python(echoes(kOutside, 80));
        QVERIFY2(output.out == "1 512 40000\n", (output.out + output.err).c_str());
    }

    void byTheHostManyBytesArrive()
    {
        byTheHost();
        // The echo of 32 MiB, and the line before it.
        Output output = box({}, "dd if=/dev/zero bs=1M count=32 2>/dev/null | timeout 60 nc " +
                                    std::string(kOutside) + " 80 | wc -c");
        QCOMPARE(output.out, std::to_string((32 << 20) + 19) + "\n");
    }

    // What Docker keeps apart stays apart.
    void byTheHostNetworksStayIsolated()
    {
        byTheHost();
        for (const char* network : {"one", "other"})
            EXIT_0(m_slipway->docker({"network", "create", network}));
        EXIT_0(m_slipway->docker({"network", "create", "--internal", "inner"}));
        EXIT_0(m_slipway->docker({"run", "-d", "--name", "server", "--network", "one", "box", "sh",
                                  "-c", serving("neighbour")}));
        std::string address =
            m_slipway
                ->docker({"inspect", "-f", "{{.NetworkSettings.Networks.one.IPAddress}}", "server"})
                .out;
        address.pop_back();
        auto get = fmt::format("timeout 3 wget -qO- http://{}/", address);
        QVERIFY(eventually([&] { return has(box({"--network", "one"}, get).out, "neighbour"); }));
        QVERIFY(!has(box({"--network", "other"}, get).out, "neighbour"));
        QCOMPARE(box({"--network", "inner"}, fetch(kOutside, 80)).out, std::string());
    }

    void switchingRestartsNothing()
    {
        EXIT_0(m_slipway->docker({"run", "-d", "--name", "stays", "box", "sleep", "1000"}));
        auto engine = m_slipway->pidInMachine("dockerd");
        auto fetches = [this] {
            return m_slipway->docker({"exec", "stays", "sh", "-c", fetch(kOutside, 80)}).out ==
                   "you are 198.18.0.1\n";
        };
        for (const char* mode : {"host", "nat", "host", "nat"}) {
            Output switched = m_slipway->slipway({"egress", mode});
            QVERIFY2(switched.exitCode == 0, switched.err.c_str());
            QVERIFY(fetches());
        }
        QCOMPARE(m_slipway->pidInMachine("dockerd"), engine);
        QVERIFY(has(m_slipway->docker({"ps"}).out, "stays"));
        std::ifstream settings(m_slipway->home().settingsFile());
        std::string text(std::istreambuf_iterator<char>(settings), {});
        QVERIFY2(has(text, "\"egress\": \"nat\""), text.c_str());
    }

    void theModeOutlivesTheBridge()
    {
        byTheHost();
        ::kill(m_slipway->bridgePid(), SIGKILL);
        EXIT_0(m_slipway->slipway({"start"}));
        QVERIFY(has(socketsWhileHeld(), "slipway-bridge"));
    }

    void aKilledBridgeServesAgain()
    {
        Service service(QHostAddress::LocalHost, "again\n");
        EXIT_0(m_slipway->docker({"run", "-d", "--name", "stays", "box", "sleep", "1000"}));
        ::kill(m_slipway->bridgePid(), SIGKILL);
        EXIT_0(m_slipway->slipway({"start"}));
        Output output = whileServing([&] {
            return m_slipway->docker(
                {"exec", "stays", "sh", "-c", fetch("host.docker.internal", service.port())});
        });
        QCOMPARE(output.out, std::string("again\n"));
    }

    void aKilledAgentServesAgain()
    {
        Service service(QHostAddress::LocalHost, "again\n");
        EXIT_0(m_slipway->docker({"run", "-d", "--name", "stays", "box", "sleep", "1000"}));
        ::kill(m_slipway->pidInMachine("slipway-agent"), SIGKILL);
        QVERIFY(eventually([&] {
            return whileServing([&] {
                       return m_slipway->docker({"exec", "stays", "sh", "-c",
                                                 fetch("host.docker.internal", service.port())});
                   }).out == "again\n";
        }));
    }
};

QTEST_GUILESS_MAIN(TestHostAccess)
#include "tst_host_access.moc"
