// What the machine may ask of its host, and what it gets: relayed, and by the client's own socket.
#include <QtTest>

#include "shared/io/connect_socket.h"
#include "tests/support/run_until.h"
#include "tests/support/wire.h"
#include "wsl-bridge/egress/outbound_connections.h"

using namespace slipway;
using namespace slipway::test;

namespace {

v1::DialOut service(std::uint32_t port)
{
    v1::DialOut target;
    target.mutable_host_tcp()->set_port(port);
    return target;
}

v1::DialOut anywhere(const std::string& address, std::uint32_t port)
{
    v1::DialOut target;
    target.mutable_tcp()->set_address(address);
    target.mutable_tcp()->set_port(port);
    return target;
}

}  // namespace

class TestOutboundConnections : public QObject {
    Q_OBJECT

    Loop m_loop;
    ListenerPtr m_listener;
    StreamPtr m_served;  // What the listener has accepted.
    std::unique_ptr<OutboundConnections> m_outbound;
    int m_toEndpoint = 0;

    void allow(EgressPolicy policy)
    {
        m_outbound = std::make_unique<OutboundConnections>(
            m_loop,
            OutboundConnections::Parts{.endpoint = [this](StreamPtr) { ++m_toEndpoint; },
                                       .names = [](StreamPtr) {}},
            std::move(policy));
    }
    // The answer that the agent gets on its parked stream.
    v1::DialOutAnswer ask(const v1::DialOut& target)
    {
        auto [bridge, agent] = *makeSocketPair();
        m_agent = std::make_unique<HeadSocket>(m_loop, std::move(agent));
        std::optional<Result<std::string>> said;
        m_agent->receive(4096, [&said](Result<std::string> bytes) { said = std::move(bytes); });
        m_outbound->lead(target, std::make_unique<HeadSocket>(m_loop, std::move(bridge)), {});
        v1::DialOutAnswer answer;
        if (!runUntil(m_loop, [&said] { return said.has_value(); }) || !*said ||
            !answer.ParseFromString(**said))
            answer.set_code(999);
        return answer;
    }
    std::unique_ptr<HeadSocket> m_agent;

private slots:
    void init()
    {
        m_listener = *listenTcp(m_loop, "127.0.0.1", 0,
                                [this](StreamPtr client) { m_served = std::move(client); });
        m_toEndpoint = 0;
    }
    void cleanup()
    {
        m_outbound.reset();
        m_agent.reset();
        m_served.reset();
    }

    void reachesAServiceOfTheLoopback()
    {
        allow({});
        QCOMPARE(ask(service(m_listener->port())).code(), 0u);
        QVERIFY(runUntil(m_loop, [this] { return m_served != nullptr; }));
        // The parked stream is the way there now.
        auto stream = *adoptSocket(m_loop, m_agent->release());
        std::string got;
        m_served->read([&got](Result<ByteStream::Bytes> bytes) { got = textOf(*bytes); });
        stream->write(bytesOf("to the service"), [](const Result<>&) {});
        QVERIFY(runUntil(m_loop, [&got] { return got == "to the service"; }));
    }

    void takesTheClientsOwnSocket()
    {
        allow({});
        auto [client, peer] = *makeSocketPair();
        m_outbound->lead(service(m_listener->port()), nullptr, std::move(client));
        QVERIFY(runUntil(m_loop, [this] { return m_served != nullptr; }));
        auto stream = *adoptSocket(m_loop, std::move(peer));
        std::string got;
        stream->read([&got](Result<ByteStream::Bytes> bytes) { got = textOf(*bytes); });
        m_served->write(bytesOf("from the service"), [](const Result<>&) {});
        QVERIFY(runUntil(m_loop, [&got] { return got == "from the service"; }));
    }

    void saysWhyItDoesNot()
    {
        allow({});
        auto port = m_listener->port();
        m_listener.reset();
        auto answer = ask(service(port));
        QVERIFY(answer.code() != 0);
        QVERIFY2(answer.message().find("refused") != std::string::npos, answer.message().c_str());
        QVERIFY(ask(service(0)).code() != 0);
        QVERIFY(ask(service(70000)).code() != 0);
        QCOMPARE(ask(v1::DialOut()).code(), static_cast<std::uint32_t>(Code::Unimplemented));
    }

    void theSettingsNarrowTheServices()
    {
        auto port = m_listener->port();
        allow({.hostServices = {{port}}});
        QCOMPARE(ask(service(port)).code(), 0u);
        auto refused = ask(service(port == 1 ? 2 : port - 1));
        QCOMPARE(refused.code(), static_cast<std::uint32_t>(Code::PermissionDenied));
        QVERIFY(refused.message().find("host_services") != std::string::npos);
        allow({.hostServices = std::vector<std::uint16_t>{}});
        QVERIFY(ask(service(port)).code() != 0);
    }

    void elsewhereOnlyWhereTheEgressIsTheHosts()
    {
        allow({.everywhere = false});
        QCOMPARE(ask(anywhere("198.18.0.1", 9)).code(),
                 static_cast<std::uint32_t>(Code::PermissionDenied));
        QVERIFY(!m_served);
    }

    // Not even there, and however it is spelled: who may reach the loopback is for host_services.
    void neverTheHostsLoopbackThatWay()
    {
        allow({.everywhere = true});
        for (const char* address : {"127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::ffff:127.0.0.1",
                                    "127.1", "localhost"}) {
            auto answer = ask(anywhere(address, m_listener->port()));
            QVERIFY2(answer.code() != 0, address);
        }
        runUntil(
            m_loop, [this] { return m_served != nullptr; }, std::chrono::milliseconds(50));
        QVERIFY(!m_served);
    }

    void leadsToTheEndpoint()
    {
        allow({});
        v1::DialOut endpoint;
        endpoint.mutable_endpoint();
        QCOMPARE(ask(endpoint).code(), 0u);
        QVERIFY(runUntil(m_loop, [this] { return m_toEndpoint == 1; }));
    }
};

QTEST_GUILESS_MAIN(TestOutboundConnections)
#include "tst_outbound_connections.moc"
