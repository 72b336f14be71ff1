// Containers at work on host folders, over the file relay, while its ends are killed: they see a
// pause, never an error, and everything is on the host in the end. KILLS=200 in the environment
// says how many; else it is as many as fit in some 40 s.
#include <algorithm>
#include <fstream>
#include <random>

#include <signal.h>

#include <QElapsedTimer>
#include <QtTest>
#include <fmt/format.h>

#include "tests/support/files/file_workers.h"
#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr int kMilliseconds = 40'000;
constexpr auto kPause = 20s;  // At most, and slipway-init waits for 2 s of it.
const std::vector<std::string> kContainers = {"one", "two"};

std::uintmax_t bytesOf(const fs::path& file)
{
    std::error_code absent;
    auto bytes = fs::file_size(file, absent);
    return absent ? 0 : bytes;
}

std::string wordsOf(pid_t pid)
{
    std::ifstream in(fmt::format("/proc/{}/cmdline", pid));
    std::string words;
    std::getline(in, words);  // It may have just ended.
    std::replace(words.begin(), words.end(), '\0', ' ');
    return words;
}

}  // namespace

class TestShareSurvival : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::minstd_rand m_chosen;
    int m_kills = 0;

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    fs::path work(const std::string& name) const { return m_slipway->workDir() / name; }

    // The agent alone: its helpers have its name.
    pid_t agentPid() const
    {
        pid_t init = m_slipway->machinePid();
        std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", init));
        for (pid_t pid = 0; children && children >> pid;) {
            std::string words = wordsOf(pid);
            if (has(words, "slipway-agent ") && !has(words, " inject ") &&
                !has(words, " write-notices "))
                return pid;
        }
        return 0;
    }
    // Each container appends a line after every other; that is seen here without asking anybody.
    std::vector<std::uintmax_t> logs() const
    {
        std::vector<std::uintmax_t> bytes;
        for (const auto& name : kContainers)
            bytes.push_back(bytesOf(work("shared/" + name + "/log")));
        return bytes;
    }
    bool allGrowBy(std::uintmax_t bytes)
    {
        auto before = logs();
        return eventually(
            [&] {
                auto now = logs();
                for (std::size_t i = 0; i < now.size(); ++i)
                    if (now[i] <= before[i] + bytes) return false;
                return true;
            },
            kPause);
    }
    std::string lives()
    {
        return docker({"inspect", "-f",
                       "{{.State.Status}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}",
                       "one", "two"})
            .out;
    }
    std::string words()
    {
        std::string all;
        for (const auto& name : kContainers)
            all += m_slipway->shell("docker logs " + name + " 2>&1 >/dev/null").out;
        return all;
    }

    void killBridge()
    {
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        ++m_kills;
    }
    void killAgent()
    {
        QCOMPARE(::kill(agentPid(), SIGKILL), 0);
        ++m_kills;
    }
    // One of them, or both at once.
    void killSome()
    {
        pid_t agent = agentPid();
        bool both = m_chosen() % 5 == 0;
        bool bridges = both || m_chosen() % 2;
        if (bridges) killBridge();
        if (both || !bridges) {
            killAgent();
            QVERIFY(eventually([&] { return agentPid() && agentPid() != agent; }));
        }
        if (bridges) {
            QVERIFY(eventually([&] { return !m_slipway->bridgePid(); }));
            QVERIFY(m_slipway->start());
        }
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway({"fuse"}); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>(R"({"files": "fuse"})");
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        fs::copy_file(QCoreApplication::applicationDirPath().toStdString() + "/work-on-files",
                      work("work-on-files"));
        fs::create_directory(work("shared"));
    }
    void cleanup()
    {
        if (!m_slipway) return;
        if (QTest::currentTestFailed()) m_slipway->tellLogs();
        m_slipway->shell("docker rm -f $(docker ps -aq)");
    }
    void cleanupTestCase() { m_slipway.reset(); }

    void killsAreAPause()
    {
        auto seed = std::random_device()() % 1'000'000;
        m_chosen.seed(seed);
        int wanted = qEnvironmentVariableIntValue("KILLS");
        for (const auto& name : kContainers)
            QCOMPARE(docker({"run", "-d", "--name", name, "-v", work("shared").string() + ":/s",
                             "-v", work("work-on-files").string() + ":/work-on-files:ro", "box",
                             "/work-on-files", "/s/" + name})
                         .exitCode,
                     0);
        QVERIFY(allGrowBy(1000));
        std::string before = lives();
        QElapsedTimer clock;
        clock.start();
        while (wanted ? m_kills < wanted : clock.elapsed() < kMilliseconds) {
            auto where = fmt::format("seed {}, kill {}", seed, m_kills + 1);
            QVERIFY2(allGrowBy(m_chosen() % 10'000),
                     (where + ": nothing goes on: " + words()).c_str());
            killSome();
            if (QTest::currentTestFailed()) QFAIL((where + ": " + words()).c_str());
        }
        QVERIFY(allGrowBy(1000));
        qInfo("seed %u: %d kills in %lld s", seed, m_kills, clock.elapsed() / 1000);
        QCOMPARE(lives(), before);
        for (const auto& name : kContainers) {
            QCOMPARE(docker({"kill", "-s", "TERM", name}).exitCode, 0);
            QCOMPARE(docker({"wait", name}).out, std::string("0\n"));
            QCOMPARE(m_slipway->shell("docker logs " + name + " 2>/dev/null").out,
                     inventoryOf(work("shared/" + name)));
        }
    }
};

QTEST_GUILESS_MAIN(TestShareSurvival)
#include "tst_share_survival.moc"
