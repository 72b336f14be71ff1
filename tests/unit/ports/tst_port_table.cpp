// Published ports on real sockets of 127.0.0.1: bound, relayed, refused with the holder's name.
#include <fstream>

#include <QtTest>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "tests/support/run_until.h"
#include "tests/support/wire.h"
#include "wsl-bridge/ports/port_holder.h"
#include "wsl-bridge/ports/port_table.h"

using namespace slipway;
using namespace slipway::test;

namespace {

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

struct Held {
    Descriptor socket;
    std::uint16_t port = 0;
};

// Listens on a port that the kernel chooses.
Held holdPort()
{
    Held held{Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(held.socket.get(), any, length) || ::listen(held.socket.get(), 1)) std::abort();
    ::getsockname(held.socket.get(), any, &length);
    held.port = ntohs(address.sin_port);
    return held;
}

std::uint16_t freePort()
{
    return holdPort().port;
}

bool connects(Descriptor& socket, std::uint16_t port)
{
    socket = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

v1::PortClaim claimOf(std::uint16_t port, const std::string& address = "0.0.0.0",
                      const std::string& protocol = "tcp")
{
    v1::PortClaim claim;
    claim.set_protocol(protocol);
    claim.set_host_address(address);
    claim.set_host_port(port);
    claim.set_container_address("172.17.0.2");
    claim.set_container_port(80);
    return claim;
}

struct Bench {
    Loop loop;
    WireDialer dialer{loop};
    PortTable::Options options;
    std::unique_ptr<PortTable> table;

    explicit Bench(PortTable::OwnerOf ownerOf = {})
    {
        options.ownerOf = std::move(ownerOf);
        table = std::make_unique<PortTable>(loop, dialer, options);
    }
    // The refusal; "no answer" if none came.
    std::string claim(std::uint64_t lease, const v1::PortClaim& claim, bool restated = false)
    {
        std::optional<std::string> refusal;
        table->claim(lease, claim, restated, [&](v1::PortDecision decision) {
            if (decision.lease() == lease) refusal = decision.refusal();
        });
        return runUntil(loop, [&] { return refusal.has_value(); }) ? *refusal : "no answer";
    }
};

}  // namespace

class TestPortTable : public QObject {
    Q_OBJECT

private slots:
    void relaysWithHalfCloseAndCounts()
    {
        Bench bench;
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        Descriptor socket;
        QVERIFY(connects(socket, port));
        Wire client(std::move(socket));
        QVERIFY(client.send("ask"));
        QVERIFY(runUntil(bench.loop, [&] { return bench.dialer.wires.size() == 1; }));
        QCOMPARE(bench.dialer.hellos.front().connect().tcp().address(), std::string("172.17.0.2"));
        QCOMPARE(bench.dialer.hellos.front().connect().tcp().port(), 80u);
        Wire& container = bench.dialer.wires.front();
        client.closeWrite();
        QVERIFY(runUntil(bench.loop, [&] { return container.poll().ended; }));
        QCOMPARE(container.got, std::string("ask"));
        QVERIFY(container.send("answer"));
        container.close();
        QVERIFY(runUntil(bench.loop, [&] { return client.poll().ended; }));
        QCOMPARE(client.got, std::string("answer"));
        QCOMPARE(bench.table->list().front().bytes, std::uint64_t{9});
        QCOMPARE(bench.table->list().front().hostAddress, std::string("127.0.0.1"));
    }

    void endsConnectionsWhenWithdrawn()
    {
        Bench bench;
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        Descriptor socket;
        QVERIFY(connects(socket, port));
        Wire client(std::move(socket));
        QVERIFY(runUntil(bench.loop, [&] { return bench.dialer.wires.size() == 1; }));
        bench.table->withdraw(1);
        QVERIFY(runUntil(bench.loop, [&] { return client.poll().ended; }));
        Descriptor again;
        QVERIFY(runUntil(bench.loop, [&] { return !connects(again, port); }));
        QVERIFY(bench.table->list().empty());
    }

    void closesTheClientOfAContainerThatRefuses()
    {
        Bench bench;
        bench.dialer.error = "connection refused";
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        Descriptor socket;
        QVERIFY(connects(socket, port));
        Wire client(std::move(socket));
        QVERIFY(runUntil(bench.loop, [&] { return client.poll().ended; }));
    }

    void namesTheProcessThatHoldsAPort()
    {
        Held held = holdPort();
        Bench bench;
        std::ifstream comm("/proc/self/comm");
        std::string name;
        std::getline(comm, name);
        QCOMPARE(bench.claim(1, claimOf(held.port)), "bind 127.0.0.1:" + std::to_string(held.port) +
                                                         ": held by " + name + " (pid " +
                                                         std::to_string(::getpid()) + ")");
        QVERIFY(bench.table->list().empty());
    }

    void findsHoldersOfWildcards()
    {
        std::uint16_t port = freePort();
        Loop loop;
        auto all = listenTcp(loop, "0.0.0.0", port, [](StreamPtr) {});
        QVERIFY(all.has_value());
        QVERIFY(holderOfPort({Protocol::Tcp, "127.0.0.1", port}).has_value());
        QVERIFY(!holderOfPort({Protocol::Tcp, "::1", port}).has_value());
        QVERIFY(!holderOfPort({Protocol::Udp, "127.0.0.1", port}).has_value());
        QVERIFY(!holderOfPort({Protocol::Tcp, "127.0.0.1", freePort()}).has_value());
    }

    void namesTheContainerThatHoldsAPort()
    {
        Bench bench([](const std::string& address, PortTable::OwnerDone done) {
            done({address == "172.17.0.2" ? "demo" : "", ""});
        });
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        QCOMPARE(bench.claim(2, claimOf(port)),
                 "bind 127.0.0.1:" + std::to_string(port) + ": held by container \"demo\"");
        QCOMPARE(bench.table->list().front().container, std::string("172.17.0.2"));
        bench.table->learnNames();
        QCOMPARE(bench.table->list().front().container, std::string("demo"));
        QCOMPARE(bench.table->list().size(), std::size_t{1});
    }

    void keepsARestatedLeaseAndItsRefusal()
    {
        Bench bench;
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        QCOMPARE(bench.claim(1, claimOf(port), true), std::string());
        Held held = holdPort();
        QVERIFY(!bench.claim(2, claimOf(held.port), true).empty());
        QCOMPARE(bench.table->list().size(), std::size_t{2});
        QVERIFY(!bench.table->list().back().refusal.empty());
        QVERIFY(!bench.table->list().back().remedy.empty());
        held.socket.reset();
        QCOMPARE(bench.claim(2, claimOf(held.port), true), std::string());
        QVERIFY(bench.table->list().back().refusal.empty());
    }

    void refusesWhatItDoesNotPublish()
    {
        Bench bench;
        QCOMPARE(bench.claim(1, claimOf(freePort(), "0.0.0.0", "sctp")),
                 std::string("TCP and UDP ports are published, not sctp"));
        QVERIFY(!bench.claim(2, claimOf(freePort(), "192.0.2.1")).empty());
        QVERIFY(!bench.claim(3, claimOf(freePort(), "nonsense")).empty());
    }

    void bindsBothFamiliesOnOnePort()
    {
        Bench bench;
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port, "0.0.0.0")), std::string());
        QCOMPARE(bench.claim(2, claimOf(port, "::")), std::string());
    }

    void bindsEverywhereIfSetSo()
    {
        Bench bench;
        bench.options.defaultAddress = DefaultAddress::All;
        bench.table = std::make_unique<PortTable>(bench.loop, bench.dialer, bench.options);
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port, "0.0.0.0")), std::string());
        QCOMPARE(bench.claim(2, claimOf(port, "::")), std::string());
        QCOMPARE(bench.table->list().front().hostAddress, std::string("0.0.0.0"));
    }

    void bindsEverywhereWhereTheAddressWasNamed()
    {
        Bench bench;
        std::uint16_t named = freePort();
        bench.options.namesAddress = [&](const v1::PortClaim& claim) {
            return claim.host_port() == named;
        };
        bench.table = std::make_unique<PortTable>(bench.loop, bench.dialer, bench.options);
        QCOMPARE(bench.claim(1, claimOf(named)), std::string());
        QCOMPARE(bench.claim(2, claimOf(freePort())), std::string());
        QCOMPARE(bench.table->list().front().hostAddress, std::string("0.0.0.0"));
        QCOMPARE(bench.table->list().back().hostAddress, std::string("127.0.0.1"));
    }

    // Who listens by itself in the machine's network goes by its own name.
    void namesAListener()
    {
        Bench bench([](const std::string&, PortTable::OwnerDone done) { done({"another", ""}); });
        std::uint16_t port = freePort();
        v1::PortClaim claim = claimOf(port);
        claim.set_listener("service web");
        QCOMPARE(bench.claim(1, claim, true), std::string());
        bench.table->learnNames();
        QCOMPARE(bench.table->list().front().container, std::string("web"));
        QCOMPARE(bench.claim(2, claimOf(port)),
                 "bind 127.0.0.1:" + std::to_string(port) + ": held by service \"web\"");
    }

    void introducesTheClientWhereTheContainerAsksForIt_data()
    {
        QTest::addColumn<QString>("label");
        QTest::addColumn<bool>("asks");
        QTest::newRow("none") << "" << false;
        QTest::newRow("another port") << "8080" << false;
        QTest::newRow("this port") << "443, 80/tcp" << true;
    }
    void introducesTheClientWhereTheContainerAsksForIt()
    {
        QFETCH(QString, label);
        QFETCH(bool, asks);
        PortTable::OwnerDone answer;  // The engine takes its time.
        Bench bench([&](const std::string&, PortTable::OwnerDone done) { answer = done; });
        std::uint16_t port = freePort();
        QCOMPARE(bench.claim(1, claimOf(port)), std::string());
        Descriptor socket;
        QVERIFY(connects(socket, port));
        std::string ends = endsOf(socket)->own.address;
        Wire client(std::move(socket));
        QVERIFY(client.send("ask"));
        QVERIFY(runUntil(bench.loop, [&] { return answer != nullptr; }));
        QVERIFY(bench.dialer.wires.empty());
        answer({"web", label.toStdString()});
        QVERIFY(runUntil(bench.loop, [&] { return bench.dialer.wires.size() == 1; }));
        Wire& container = bench.dialer.wires.front();
        QVERIFY(runUntil(bench.loop, [&] { return container.poll().got.ends_with("ask"); }));
        QCOMPARE(container.got.substr(0, container.got.size() - 3).size(),
                 asks ? std::size_t{28} : std::size_t{0});
        if (asks) QCOMPARE(container.got.substr(16, 4), ends);

        QVERIFY(connects(socket, port));  // The next one is not asked for.
        Wire next(std::move(socket));
        QVERIFY(runUntil(bench.loop, [&] { return bench.dialer.wires.size() == 2; }));
    }

    // The last: an ordinary user can't raise the limit again.
    void refusesMorePortsThanThereAreFilesFor()
    {
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        rlimit few{64, 64};
        QCOMPARE(::setrlimit(RLIMIT_NOFILE, &few), 0);
        auto restore = qScopeGuard([&] { ::setrlimit(RLIMIT_NOFILE, &before); });
        Bench bench;
        std::string refusal;
        std::uint64_t bound = 0;
        while (bound < few.rlim_cur && refusal.empty()) {
            refusal = bench.claim(bound + 1, claimOf(freePort()));
            if (refusal.empty()) ++bound;
        }
        QCOMPARE(bound, std::uint64_t{32});
        for (const char* part : {"32 ports", "64 files", "ulimit -Hn"})
            QVERIFY2(refusal.find(part) != std::string::npos, refusal.c_str());
        bench.table->withdraw(1);
        QCOMPARE(bench.claim(99, claimOf(freePort())), std::string());
    }
};

QTEST_APPLESS_MAIN(TestPortTable)
#include "tst_port_table.moc"
