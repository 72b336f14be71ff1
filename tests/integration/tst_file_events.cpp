// The host's changes as inotify events in containers.
#include <map>

#include <sys/inotify.h>

#include "tests/integration/file_world.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// inotify in "a container": a watch on a folder of the mount.
class Watcher {
public:
    explicit Watcher(const std::string& path) : m_inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK))
    {
        m_armed = ::inotify_add_watch(m_inotify.get(), path.c_str(), IN_ALL_EVENTS) >= 0;
    }
    bool armed() const { return m_armed; }

    // How often this event of this name has come by now.
    int count(std::uint32_t mask, const std::string& name)
    {
        alignas(inotify_event) char buffer[65536];
        for (ssize_t size = 0; (size = ::read(m_inotify.get(), buffer, sizeof buffer)) > 0;) {
            for (ssize_t at = 0; at < size;) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
                at += static_cast<ssize_t>(sizeof *event + event->len);
                std::string of = event->len > 0 ? event->name : "";
                for (std::uint32_t bit = 1; bit < IN_UNMOUNT; bit <<= 1) {
                    if (event->mask & bit) ++m_seen[{bit, of}];
                }
            }
        }
        return m_seen[{mask, name}];
    }

private:
    Descriptor m_inotify;
    bool m_armed = false;
    std::map<std::pair<std::uint32_t, std::string>, int> m_seen;
};

}  // namespace

class TestFileEvents : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void cleanupTestCase() { m_world.reset(); }
    void init() { m_world->clear(); }

    void hostChangesRaiseEvents_data();
    void hostChangesRaiseEvents();
    void whatARemovedTreeHeldIsToldOf();
    void aBurstIsToldOfWhole();
    void whatAnOverflowLostIsToldOf();
    void ownChangesRaiseOneEvent();

private:
    // What was done on the host is told of once a mark that came after it is.
    void untilItIsQuiet(const std::string& folder) const
    {
        Watcher watcher(guest(folder));
        QVERIFY(watcher.armed());
        QVERIFY(writeText(host(folder + "/mark"), ""));
        QTRY_VERIFY(watcher.count(IN_CREATE, "mark") > 0);
    }

    std::string host(const std::string& name) const { return m_world->host + "/" + name; }
    std::string guest(const std::string& name) const { return m_world->guest + "/" + name; }

    std::unique_ptr<FileWorld> m_world;
};

void TestFileEvents::initTestCase()
{
    if (auto lack = FileWorld::lacks(); !lack.isEmpty()) QSKIP(qPrintable(lack));
    ::umask(022);
    m_world = std::make_unique<FileWorld>();
    m_world->start();
    // The injector is a process of its own, and what happens before it is there raises no events.
    Watcher watcher(m_world->guest);
    int probes = 0;
    auto heard = [&] {
        int count = 0;
        for (int i = 0; i < probes; ++i)
            count += watcher.count(IN_CREATE, "probe" + std::to_string(i));
        if (count == 0) writeText(host("probe" + std::to_string(probes++)), "");
        return count > 0;
    };
    QTRY_VERIFY(heard());
}

void TestFileEvents::hostChangesRaiseEvents_data()
{
    using Step = std::function<void(const std::string&)>;
    using Expected = std::vector<std::pair<std::uint32_t, std::string>>;
    QTest::addColumn<Step>("change");
    QTest::addColumn<Expected>("events");
    auto path = [](const std::string& dir, const char* name) { return dir + "/" + name; };
    QTest::newRow("create") << Step([=](const std::string& dir) {
        writeText(path(dir, "new"), "");
    }) << Expected{{IN_CREATE, "new"}};
    QTest::newRow("mkdir") << Step([=](const std::string& dir) {
        ::mkdir(path(dir, "newdir").c_str(), 0755);
    }) << Expected{{IN_CREATE, "newdir"}};
    QTest::newRow("symlink") << Step([=](const std::string& dir) {
        ::symlink("f", path(dir, "s").c_str());
    }) << Expected{{IN_CREATE, "s"}};
    QTest::newRow("link") << Step([=](const std::string& dir) {
        ::link(path(dir, "f").c_str(), path(dir, "hard").c_str());
    }) << Expected{{IN_CREATE, "hard"}};
    QTest::newRow("fifo") << Step([=](const std::string& dir) {
        ::mkfifo(path(dir, "pipe").c_str(), 0644);
    }) << Expected{{IN_CREATE, "pipe"}};
    QTest::newRow("replaced") << Step([=](const std::string& dir) {
        writeText(path(dir, ".f"), "new");
        ::rename(path(dir, ".f").c_str(), path(dir, "f").c_str());
    }) << Expected{{IN_MOVED_TO, "f"}};
    QTest::newRow("write") << Step([=](const std::string& dir) {
        writeText(path(dir, "f"), "x", std::ios::app);
    }) << Expected{{IN_MODIFY, "f"}, {IN_CLOSE_WRITE, "f"}};
    QTest::newRow("chmod") << Step([=](const std::string& dir) {
        ::chmod(path(dir, "f").c_str(), 0600);
    }) << Expected{{IN_ATTRIB, "f"}};
    QTest::newRow("rename") << Step([=](const std::string& dir) {
        ::rename(path(dir, "f").c_str(), path(dir, "g").c_str());
    }) << Expected{{IN_MOVED_FROM, "f"}, {IN_MOVED_TO, "g"}};
    QTest::newRow("delete") << Step([=](const std::string& dir) {
        ::unlink(path(dir, "f").c_str());
    }) << Expected{{IN_DELETE, "f"}};
    QTest::newRow("rmdir") << Step([=](const std::string& dir) {
        ::rmdir(path(dir, "empty").c_str());
    }) << Expected{{IN_DELETE, "empty"}};
}

void TestFileEvents::hostChangesRaiseEvents()
{
    using Step = std::function<void(const std::string&)>;
    using Expected = std::vector<std::pair<std::uint32_t, std::string>>;
    QFETCH(Step, change);
    QFETCH(Expected, events);
    ::mkdir(host("w").c_str(), 0755);
    ::mkdir(host("w/empty").c_str(), 0755);
    QVERIFY(writeText(host("w/f"), "f"));
    QTRY_COMPARE(textIn(guest("w/f")), "f");
    QTRY_VERIFY(statOf(guest("w/empty")));
    untilItIsQuiet("w");
    Watcher watcher(guest("w"));
    QVERIFY(watcher.armed());
    change(host("w"));
    for (const auto& event : events) QTRY_VERIFY(watcher.count(event.first, event.second) > 0);
}

// Each is told when the folder that it was in has gone already.
void TestFileEvents::whatARemovedTreeHeldIsToldOf()
{
    std::filesystem::create_directories(host("w/sub/deep"));
    for (const char* name : {"w/sub/a", "w/sub/b", "w/sub/deep/c"})
        QVERIFY(writeText(host(name), "x"));
    QTRY_COMPARE(textIn(guest("w/sub/deep/c")), "x");
    Watcher top(guest("w")), sub(guest("w/sub")), deep(guest("w/sub/deep"));
    QVERIFY(top.armed() && sub.armed() && deep.armed());
    std::filesystem::remove_all(host("w/sub"));
    QTRY_COMPARE(top.count(IN_DELETE, "sub"), 1);
    for (const char* name : {"a", "b", "deep"}) QTRY_COMPARE(sub.count(IN_DELETE, name), 1);
    QTRY_COMPARE(deep.count(IN_DELETE, "c"), 1);
    QTRY_COMPARE(deep.count(IN_DELETE_SELF, ""), 1);
    QTRY_COMPARE(sub.count(IN_DELETE_SELF, ""), 1);
}

void TestFileEvents::aBurstIsToldOfWhole()
{
    constexpr int kFiles = 20000;
    ::mkdir(host("w").c_str(), 0755);
    QTRY_VERIFY(statOf(guest("w")));
    Watcher watcher(guest("w"));
    QVERIFY(watcher.armed());
    for (int i = 0; i < kFiles; ++i)
        Descriptor(::open(host("w/" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0644));
    int next = 0;
    auto heard = [&](std::uint32_t event) {
        while (next < kFiles && watcher.count(event, std::to_string(next)) > 0) ++next;
        return next == kFiles;
    };
    QTRY_VERIFY2_WITH_TIMEOUT(heard(IN_CREATE), std::to_string(next).c_str(), 60000);
    std::filesystem::remove_all(host("w"));
    next = 0;
    QTRY_VERIFY2_WITH_TIMEOUT(heard(IN_DELETE), std::to_string(next).c_str(), 60000);
}

// The host's queue of events is full before any of what is looked for happens.
void TestFileEvents::whatAnOverflowLostIsToldOf()
{
    namespace fs = std::filesystem;
    for (const char* folder : {"w/sub", "w/tree/deep"}) fs::create_directories(host(folder));
    const std::vector<std::string> known{
        "w/modified", "w/touched",     "w/gone", "w/replaced", "w/moved",
        "w/again",    "w/tree/deep/f", "w/same", "w/noise",    "w/other noise"};
    for (const auto& name : known) QVERIFY(writeText(host(name), "1"));
    for (const char* name : {"w/never asked", "w/written unasked"})
        QVERIFY(writeText(host(name), "1"));
    QTest::qWait(20);  // Files have the times of the kernel's clock tick, of 10 ms at most.
    untilItIsQuiet("w");
    for (const auto& name : known) QTRY_COMPARE(textIn(guest(name)), "1");
    Watcher top(guest("w")), sub(guest("w/sub")), tree(guest("w/tree")), deep(guest("w/tree/deep"));
    QVERIFY(top.armed() && sub.armed() && tree.armed() && deep.armed());

    m_world->stopServer();
    for (int i = 0; i < 20000; ++i)  // In turns, as equal events become one.
        ::chmod(host(i % 2 ? "w/noise" : "w/other noise").c_str(), 0644);
    QVERIFY(writeText(host("w/modified"), "2"));
    QVERIFY(writeText(host("w/written unasked"), "2"));
    QCOMPARE(::chmod(host("w/touched").c_str(), 0600), 0);
    QCOMPARE(::chmod(host("w/sub").c_str(), 0700), 0);
    fs::remove(host("w/gone"));
    QVERIFY(writeText(host(".replacing"), "2"));
    fs::rename(host(".replacing"), host("w/replaced"));
    fs::remove(host("w/again"));
    fs::create_directory(host("w/again"));
    fs::rename(host("w/moved"), host("w/sub/moved"));
    fs::remove_all(host("w/tree"));
    QVERIFY(writeText(host("w/new"), "2"));
    m_world->continueServer();

    QTRY_COMPARE(top.count(IN_MODIFY, "modified"), 1);
    QTRY_COMPARE(top.count(IN_MODIFY, "written unasked"), 1);
    QTRY_COMPARE(top.count(IN_ATTRIB, "touched"), 1);
    QTRY_COMPARE(top.count(IN_ATTRIB, "sub"), 1);
    QTRY_COMPARE(top.count(IN_CREATE, "replaced"), 1);
    QTRY_COMPARE(top.count(IN_CREATE, "again"), 1);
    for (const char* gone : {"gone", "moved", "tree"}) QTRY_COMPARE(top.count(IN_DELETE, gone), 1);
    QTRY_COMPARE(sub.count(IN_CREATE, "moved"), 1);
    QTRY_COMPARE(tree.count(IN_DELETE, "deep"), 1);
    QTRY_COMPARE(deep.count(IN_DELETE, "f"), 1);
    QTRY_COMPARE(top.count(IN_CREATE, "new"), 1);
    QTRY_COMPARE(top.count(IN_CLOSE_WRITE, "new"), 1);
    for (const char* quiet : {"same", "never asked"}) {
        for (std::uint32_t event : {IN_CREATE, IN_MODIFY, IN_ATTRIB, IN_DELETE})
            QCOMPARE(top.count(event, quiet), 0);
    }
    for (const char* name : {"w/modified", "w/replaced", "w/new", "w/written unasked"})
        QCOMPARE(textIn(guest(name)), "2");
    QVERIFY(!statOf(guest("w/gone")));
    QCOMPARE(statOf(guest("w/touched"))->st_mode & 07777u, 0600u);
    QVERIFY(fs::is_directory(guest("w/again")));
}

void TestFileEvents::ownChangesRaiseOneEvent()
{
    ::mkdir(guest("w").c_str(), 0755);
    Watcher watcher(guest("w"));
    QVERIFY(writeText(guest("w/f"), "x"));
    QCOMPARE(::rename(guest("w/f").c_str(), guest("w/g").c_str()), 0);
    QCOMPARE(::unlink(guest("w/g").c_str()), 0);
    QVERIFY(writeText(host("w/mark"), ""));
    QTRY_VERIFY(watcher.count(IN_CREATE, "mark") > 0);
    QCOMPARE(watcher.count(IN_CREATE, "f"), 1);
    QCOMPARE(watcher.count(IN_MODIFY, "f"), 1);
    QCOMPARE(watcher.count(IN_MOVED_FROM, "f"), 1);
    QCOMPARE(watcher.count(IN_MOVED_TO, "g"), 1);
    QCOMPARE(watcher.count(IN_DELETE, "g"), 1);
}

int main(int argc, char** argv)
{
    if (auto part = playedPart(argc, argv)) return *part;
    TestFileEvents test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_file_events.moc"
