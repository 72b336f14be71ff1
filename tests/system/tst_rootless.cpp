// An ordinary user's Slipway: no root anywhere, a machine in a user namespace.
#include <fstream>

#include <QTcpServer>
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/slipway_fixture.h"
#include "tests/support/test_user.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

class TestRootless : public QObject {
    Q_OBJECT

    std::unique_ptr<TestUser> m_user;
    std::unique_ptr<SlipwayFixture> m_slipway;

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        auto user = TestUser::make();
        QVERIFY2(user.has_value(), user ? "" : user.error().message.c_str());
        m_user = *std::move(user);
        m_slipway = std::make_unique<SlipwayFixture>("", m_user.get());
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }
    void cleanupTestCase()
    {
        m_slipway.reset();
        m_user.reset();
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
    }

    void runsAsTheUserAndSaysSo()
    {
        pid_t machine = m_slipway->machinePid();
        QVERIFY(machine > 0);
        std::ifstream in(fmt::format("/proc/{}/status", machine));
        std::string text(std::istreambuf_iterator<char>(in), {});
        QVERIFY2(text.find(fmt::format("Uid:\t{}\t", m_user->uid())) != std::string::npos,
                 text.c_str());
        Output status = m_slipway->slipway({"status"});
        QVERIFY2(status.out.find("rootless") != std::string::npos, status.out.c_str());
    }

    void bindsAFolderAndPublishesAPort()
    {
        QTcpServer probe;
        QVERIFY(probe.listen(QHostAddress::LocalHost));
        int port = probe.serverPort();
        probe.close();
        QCOMPARE(m_slipway->shell("mkdir site; echo rootless > site/index.html").exitCode, 0);
        Output run = m_slipway->docker({"run", "-d", "--name", "web", "-v",
                                        (m_slipway->workDir() / "site").string() + ":/s", "-p",
                                        fmt::format("127.0.0.1:{}:80", port), "box", "sh", "-c",
                                        "echo written > /s/new; exec httpd -f -p 80 -h /s"});
        QVERIFY2(run.exitCode == 0, run.err.c_str());
        QVERIFY(eventually([&] {
            auto body = httpGet("127.0.0.1", port);
            return body && *body == "rootless\n";
        }));
        // Root in the container is the user outside.
        Output owner = m_slipway->shell("stat -c %U site/new");
        QCOMPARE(owner.out, m_user->name() + "\n");
        QCOMPARE(m_slipway->docker({"rm", "-f", "web"}).exitCode, 0);
    }

    void leavesNothing()
    {
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
        QVERIFY(!fs::exists(m_slipway->home().root));
        auto left = LeftOvers::of(m_slipway->home()).things;
        QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
    }
};

QTEST_GUILESS_MAIN(TestRootless)
#include "tst_rootless.moc"
