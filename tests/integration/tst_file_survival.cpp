// The file relay when its ends die: a container that was at work sees a pause, never an error.
#include <atomic>
#include <random>

#include "tests/integration/file_world.h"

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

namespace {

// What containers do at the same time, each until it is told to stop. `trouble` is the first thing
// that went wrong.
class Workers {
public:
    Workers(std::string guestFolder, std::string hostFolder)
        : m_guest(std::move(guestFolder)), m_host(std::move(hostFolder))
    {
        for (auto work : {&Workers::append, &Workers::writeBlocks, &Workers::moveNames,
                          &Workers::makeAndRead, &Workers::list, &Workers::holdUnlinked})
            m_threads.emplace_back([this, work] { (this->*work)(); });
    }
    ~Workers() { stop(); }
    std::string stop()
    {
        m_stop = true;
        for (auto& thread : m_threads)
            if (thread.joinable()) thread.join();
        return m_trouble;
    }
    bool failed() const { return m_stop; }
    int steps() const { return m_steps; }

private:
    bool goesOn() const { return !m_stop; }
    void step(const std::string& what, bool done)
    {
        int error = errno;
        ++m_steps;
        if (done) return;
        std::lock_guard lock(m_mutex);
        if (m_trouble.empty()) m_trouble = what + ": " + std::strerror(error);
        m_stop = true;
    }

    void append()
    {
        std::string all;
        Descriptor log(::open((m_guest + "/log").c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644));
        for (int i = 0; goesOn(); ++i) {
            std::string line = "line " + std::to_string(i) + "\n";
            all += line;
            step("append",
                 ::write(log.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
        }
        step("what was appended", textIn(m_host + "/log") == all);
    }
    void writeBlocks()
    {
        std::string all(64 * 4096, 'a');
        std::string name = m_guest + "/blocks";
        step("write whole", writeText(name, all));
        Descriptor file(::open(name.c_str(), O_RDWR));
        for (int i = 0; goesOn(); ++i) {
            std::string block(4096, static_cast<char>('a' + i % 26));
            auto offset = static_cast<std::size_t>(i * 7 % 64) * 4096;
            all.replace(offset, 4096, block);
            step("write a block",
                 ::pwrite(file.get(), block.data(), 4096, static_cast<off_t>(offset)) == 4096);
            std::string back(4096, '\0');
            step("read a block",
                 ::pread(file.get(), back.data(), 4096, static_cast<off_t>(offset)) == 4096 &&
                     back == block);
        }
        step("what was written", textIn(m_host + "/blocks") == all);
    }
    void moveNames()
    {
        std::string from = m_guest + "/here";
        std::string to = m_guest + "/there";
        step("make", writeText(from, "moved"));
        for (int i = 0; goesOn(); ++i) {
            step("rename", ::rename(from.c_str(), to.c_str()) == 0);
            step("not both", !statOf(from) && statOf(to));
            std::swap(from, to);
        }
        step("what was moved", textIn(from) == "moved");
    }
    void makeAndRead()
    {
        for (int i = 0; goesOn(); ++i) {
            std::string folder = m_guest + "/made" + std::to_string(i);
            std::string text(static_cast<std::size_t>(i % 3000), 'm');
            step("mkdir", ::mkdir(folder.c_str(), 0755) == 0);
            step("create", writeText(folder + "/a", text));
            step("link", ::link((folder + "/a").c_str(), (folder + "/b").c_str()) == 0);
            step("read", textIn(folder + "/b") == text);
            step("links", statOf(folder + "/a") && statOf(folder + "/a")->st_nlink == 2);
            step("unlink", ::unlink((folder + "/a").c_str()) == 0);
            step("unlink", ::unlink((folder + "/b").c_str()) == 0);
            step("rmdir", ::rmdir(folder.c_str()) == 0);
        }
    }
    void list()
    {
        std::string folder = m_guest + "/listed";
        std::set<std::string> names;
        step("mkdir", ::mkdir(folder.c_str(), 0755) == 0);
        for (int i = 0; goesOn(); ++i) {
            std::string name = "n" + std::to_string(i % 30);
            bool made = names.insert(name).second;
            if (!made) names.erase(name);
            if (made)
                step("add to the list", writeText(folder + "/" + name, name));
            else
                step("take from the list", ::unlink((folder + "/" + name).c_str()) == 0);
            step("the list", namesIn(folder) == names);
        }
    }

    void holdUnlinked()
    {
        std::string name = m_guest + "/unlinked";
        for (int round = 0; goesOn(); ++round) {
            Descriptor file(::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
            step("create what is unlinked", static_cast<bool>(file));
            step("unlink while open", ::unlink(name.c_str()) == 0);
            for (int i = 0; i < 50 && goesOn(); ++i) {
                std::string text = std::to_string(round) + " " + std::to_string(i);
                auto size = static_cast<ssize_t>(text.size());
                std::string back(text.size(), '\0');
                step("write without a name",
                     ::pwrite(file.get(), text.data(), text.size(), i * 5000) == size);
                step("read without a name",
                     ::pread(file.get(), back.data(), back.size(), i * 5000) == size &&
                         back == text);
                struct stat facts {};
                step("stat without a name", ::fstat(file.get(), &facts) == 0 &&
                                                facts.st_nlink == 0 &&
                                                facts.st_size == i * 5000 + size);
            }
        }
    }

    std::string m_guest, m_host;
    std::atomic<bool> m_stop = false;
    std::atomic<int> m_steps = 0;
    std::mutex m_mutex;
    std::string m_trouble;
    std::vector<std::thread> m_threads;
};

}  // namespace

void TestFileSurvival::twoHundredKillsLoseNothing()
{
    ::mkdir(host("kills").c_str(), 0755);
    QTRY_VERIFY(statOf(guest("kills")));
    // The kernel then asks for no FLUSH any more. A child of ours that begins closes the workers'
    // files, and must not have to wait for what it is to be.
    QVERIFY(writeText(host("flushed"), "once"));
    QTRY_COMPARE(textIn(guest("flushed")), "once");
    Workers workers(guest("kills"), host("kills"));
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
}

int main(int argc, char** argv)
{
    if (auto part = playedPart(argc, argv)) return *part;
    TestFileSurvival test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_file_survival.moc"
