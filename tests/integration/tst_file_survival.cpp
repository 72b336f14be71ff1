// The file relay when its ends die: a container that was at work sees a pause, never an error.
#include <atomic>
#include <random>

#include "tests/integration/file_world.h"
#include "tests/support/files/file_workers.h"

using namespace slipway;
using namespace slipway::test;

class TestFileSurvival : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void cleanupTestCase() { m_world.reset(); }

    void aKilledServerIsAPause_data();
    void aKilledServerIsAPause();
    void changesWhileNobodyServedAreSeen();
    void aRestartedRelayGoesOn();
    void aNewStreamGoesOn();
    void waitingProcessesGoOn();
    void twoHundredKillsLoseNothing();
    void anEndedMachineLeavesNoWatches();  // The last: the guest's kernel is still there.

private:
    std::string host(const std::string& name) const { return m_world->host + "/" + name; }
    std::string guest(const std::string& name) const { return m_world->guest + "/" + name; }
    // Works in the guest meanwhile; no operation may fail.
    void whileWorking(const std::function<void()>& disturb);

    std::unique_ptr<FileWorld> m_world;
};

void TestFileSurvival::initTestCase()
{
    if (auto lack = FileWorld::lacks(); !lack.isEmpty()) QSKIP(qPrintable(lack));
    ::umask(022);
    m_world = std::make_unique<FileWorld>();
    m_world->start();
}

void TestFileSurvival::whileWorking(const std::function<void()>& disturb)
{
    ::mkdir(host("work").c_str(), 0755);
    QTRY_VERIFY(statOf(guest("work")));
    std::atomic<bool> stop = false;
    std::atomic<int> rounds = 0;
    std::string trouble;
    std::thread work([&] {
        for (int i = 0; !stop && trouble.empty(); ++i) {
            auto name = guest("work/f" + std::to_string(i));
            auto step = [&](const char* what, bool done) {
                if (!done && trouble.empty())
                    trouble = what + (": round " + std::to_string(i) + ": ") + std::strerror(errno);
            };
            step("mkdir", ::mkdir((name + "d").c_str(), 0755) == 0);
            step("create", writeText(name, "text"));
            step("append", writeText(name, "+", std::ios::app));
            step("link", ::link(name.c_str(), (name + "l").c_str()) == 0);
            step("rename", ::rename(name.c_str(), (name + "d/x").c_str()) == 0);
            step("read", textIn(name + "d/x") == "text+");
            step("unlink", ::unlink((name + "l").c_str()) == 0);
            step("unlink", ::unlink((name + "d/x").c_str()) == 0);
            step("rmdir", ::rmdir((name + "d").c_str()) == 0);
            ++rounds;
        }
    });
    auto some = [&] {
        int before = rounds;
        return [&rounds, before] { return rounds > before + 3; };
    };
    bool went = QTest::qWaitFor(some(), 5000);
    disturb();
    went = QTest::qWaitFor(some(), 10000) && went;
    stop = true;
    work.join();
    QVERIFY2(trouble.empty(), trouble.c_str());
    QVERIFY(went);
    QVERIFY(std::filesystem::is_empty(host("work")));
}

void TestFileSurvival::aKilledServerIsAPause_data()
{
    QTest::addColumn<int>("round");
    for (int i = 0; i < 10; ++i) QTest::addRow("kill %d", i + 1) << i;
}

void TestFileSurvival::aKilledServerIsAPause()
{
    whileWorking([this] {
        m_world->killServer();
        m_world->startServer();
        m_world->connect();
    });
}

void TestFileSurvival::changesWhileNobodyServedAreSeen()
{
    QVERIFY(writeText(host("a"), "before") && writeText(host("b"), "b"));
    QTRY_COMPARE(textIn(guest("a")), "before");
    QTRY_COMPARE(textIn(guest("b")), "b");
    QVERIFY(!statOf(guest("c")));
    m_world->killServer();
    QVERIFY(writeText(host("a"), "after!") && writeText(host("c"), "c"));
    ::unlink(host("b").c_str());
    m_world->startServer();
    m_world->connect();
    QTRY_COMPARE(textIn(guest("a")), "after!");
    QTRY_COMPARE(textIn(guest("c")), "c");
    QTRY_VERIFY(!statOf(guest("b")));
}

void TestFileSurvival::aRestartedRelayGoesOn()
{
    whileWorking([this] {
        m_world->killRelay();
        m_world->startRelay();
        m_world->connect();
    });
}

void TestFileSurvival::aNewStreamGoesOn()
{
    whileWorking([this] {
        for (int i = 0; i < 5; ++i) m_world->connect();
    });
}

void TestFileSurvival::waitingProcessesGoOn()
{
    QVERIFY(writeText(host("late"), "here"));
    m_world->killServer();
    std::optional<std::string> text;
    std::thread reader([&] { text = textIn(guest("late")); });
    m_world->startServer();
    m_world->connect();
    reader.join();
    QCOMPARE(text, "here");
}

void TestFileSurvival::twoHundredKillsLoseNothing()
{
    ::mkdir(host("kills").c_str(), 0755);
    QTRY_VERIFY(statOf(guest("kills")));
    // The kernel then asks for no FLUSH any more. A child of ours that begins closes the workers'
    // files, and must not have to wait for what it is to be.
    QVERIFY(writeText(host("flushed"), "once"));
    QTRY_COMPARE(textIn(guest("flushed")), "once");
    FileWorkers workers(guest("kills"));
    std::minstd_rand chosen(1);
    for (int kill = 0; kill < 200; ++kill) {
        int before = workers.steps();
        int at = before + static_cast<int>(chosen() % 300);
        while (workers.steps() < at && !workers.failed()) std::this_thread::yield();
        if (chosen() % 2) {
            m_world->killServer();
            m_world->startServer();
        } else {
            m_world->killRelay();
            m_world->startRelay();
        }
        m_world->connect();
        bool goesOn = QTest::qWaitFor(
            [&] { return workers.steps() > before + 20 || workers.failed(); }, 10'000);
        if (!goesOn || workers.failed()) {
            QFAIL(qPrintable(QString("after kill %1: %2")
                                 .arg(kill + 1)
                                 .arg(goesOn ? workers.stop().c_str() : "nothing goes on")));
        }
    }
    std::string trouble = workers.stop();
    QVERIFY2(trouble.empty(), trouble.c_str());
    QCOMPARE(inventoryOf(host("kills")), workers.inventory());
}

void TestFileSurvival::anEndedMachineLeavesNoWatches()
{
    QVERIFY(writeText(host("f"), "x"));
    QTRY_COMPARE(textIn(guest("f")), "x");
    QVERIFY(m_world->watchedByServer() > 0);
    m_world->tellMachineEnded();
    QCOMPARE(m_world->watchedByServer(), 0);
}

int main(int argc, char** argv)
{
    if (auto part = playedPart(argc, argv)) return *part;
    TestFileSurvival test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_file_survival.moc"
