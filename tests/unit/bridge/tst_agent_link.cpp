// The bridge's end of the control stream, with an agent at the other that says nothing.
#include <sys/socket.h>

#include <QTest>

#include "tests/support/run_until.h"
#include "wsl-bridge/agent_link.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

class TestAgentLink : public QObject {
    Q_OBJECT

private slots:
    // Whoever asks must hear something, or it would wait for ever.
    void whatIsOpenWhenTheAgentDiesFails()
    {
        int ends[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        Descriptor agent(ends[1]);
        Loop loop;
        std::vector<std::string> heard;
        std::unique_ptr<AgentLink> link;
        link = std::make_unique<AgentLink>(loop, Descriptor(ends[0]),
                                           AgentLink::Listeners{.engine = [](const auto&) {},
                                                                .port = [](const auto&) {},
                                                                .lost =
                                                                    [&](const Error&) {
                                                                        heard.push_back("lost");
                                                                        link.reset();
                                                                    }});
        link->usage([&](Result<v1::GetUsageResponse> usage) {
            heard.push_back(usage ? "usage" : "no usage");
        });
        agent.reset();
        QVERIFY(runUntil(loop, [&] { return link == nullptr; }));
        QCOMPARE(heard, (std::vector<std::string>{"no usage", "lost"}));
    }

    // gRPC frees its queue twice if the last to let go of a channel is a thread of its own.
    void endsInTheMidstOfItsCalls()
    {
        for (int i = 0; i < 200; ++i) {
            int ends[2];
            QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
            Descriptor agent(ends[1]);
            Loop loop;
            AgentLink link(loop, Descriptor(ends[0]),
                           AgentLink::Listeners{.engine = [](const auto&) {},
                                                .port = [](const auto&) {},
                                                .lost = [](const Error&) {}});
            link.usage([](const auto&) {});
            if (i % 2) agent.reset();
        }
    }
};

QTEST_GUILESS_MAIN(TestAgentLink)
#include "tst_agent_link.moc"
