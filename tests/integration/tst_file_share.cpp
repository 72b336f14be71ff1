// The file relay as containers see it: what they do reaches the host, what the host does reaches
// them.

#include <atomic>

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/integration/file_world.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr uid_t kNobody = 65534;

}  // namespace

class TestFileShare : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void cleanupTestCase() { m_world.reset(); }
    void init();

    void writesReachTheHost();
    void appendsGoToTheEnd();
    void largeFilesAreReadWhole();
    void renamesAndLinks();
    void unlinkedFilesStayUsable();
    void replacedFilesStayUsable();
    void sharedMappingsAreWritten();
    void largeFolders();
    void largeFiles();
    void attributesAreKept();
    void specialFilesAndLocks();
    void extendedAttributes();
    void renameIntoItselfIsRefused();

    void hostChangesAreSeen_data();
    void hostChangesAreSeen();
    void openFilesSeeAppends();
    void hardLinkedFilesSeeWritesThroughOtherNames();
    void bothSidesAtOnceStayEqual();
    void aFolderMadeAnewIsAlive();
    void attributesAreTrueWhenACallReturns();
    void namesThatWereNotAskedForAreTrue();
    void listingsThatWereNotAskedForAreTrue();
    void contentsThatWereNotReadAreTrue();
    void contentsAreTrueAmidSweeps();

    void othersCannotReadPrivateFiles();
    void newFilesBelongToTheirMaker();
    void setGidFoldersPassOnTheirGroup();
    void writesDropSetUid();
    void devicesCannotBeMade();

    void onlyGrantedPathsShow();
    void linksOutOfTheGrantLeadNowhere();
    void singleFilesCanBeGranted();
    void aGrantMadeAnewIsSeenAtOnce();
    void aWiderGrantKeepsWhatIsMounted();
    void uselessGrantsAreRefused();

private:
    std::string host(const std::string& name) const { return m_world->host + "/" + name; }
    std::string guest(const std::string& name) const { return m_world->guest + "/" + name; }

    std::unique_ptr<FileWorld> m_world;
};

void TestFileShare::initTestCase()
{
    if (auto lack = FileWorld::lacks(); !lack.isEmpty()) QSKIP(qPrintable(lack));
    ::umask(022);
    m_world = std::make_unique<FileWorld>();
    m_world->start();
}

void TestFileShare::init()
{
    m_world->clear();
}

void TestFileShare::writesReachTheHost()
{
    QVERIFY(writeText(guest("f"), "hello"));
    QCOMPARE(textIn(host("f")), "hello");
    QCOMPARE(textIn(guest("f")), "hello");
    for (int i = 0; i < 5; ++i)
        QVERIFY(writeText(guest("f"), std::string(100, static_cast<char>('0' + i))));
    QCOMPARE(textIn(guest("f")), std::string(100, '4'));
    QCOMPARE(textIn(host("f")), std::string(100, '4'));
}

void TestFileShare::largeFilesAreReadWhole()
{
    std::string text;
    for (int i = 0; text.size() < 5'000'000; ++i) text += std::to_string(i) + ' ';
    QVERIFY(writeText(host("f"), text));
    auto size = static_cast<off_t>(text.size());
    QTRY_VERIFY(statOf(guest("f")) && statOf(guest("f"))->st_size == size);
    QVERIFY(textIn(guest("f")) == text);

    // Neither a part that begins within a page, nor one that reaches over the end.
    Descriptor file(::open(guest("f").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    for (std::size_t offset : {0, 512, 4096, 2'000'384, 4'998'656}) {
        std::string part(1'000'000, '\0');
        auto at = static_cast<off_t>(offset);
        ssize_t count = ::pread(file.get(), part.data(), part.size(), at);
        QVERIFY(count > 0);
        part.resize(static_cast<std::size_t>(count));
        QVERIFY2(part == text.substr(offset, 1'000'000), std::to_string(offset).c_str());
    }
    ::truncate(host("f").c_str(), 1'000'001);
    QTRY_COMPARE(statOf(guest("f"))->st_size, 1'000'001);
    QVERIFY(textIn(guest("f")) == text.substr(0, 1'000'001));
}

void TestFileShare::appendsGoToTheEnd()
{
    QVERIFY(writeText(guest("f"), "hello"));
    QVERIFY(writeText(guest("f"), " world", std::ios::app));
    QCOMPARE(textIn(host("f")), "hello world");
}

void TestFileShare::renamesAndLinks()
{
    QVERIFY(writeText(guest("f"), "text"));
    QCOMPARE(::mkdir(guest("d").c_str(), 0755), 0);
    QCOMPARE(::rename(guest("f").c_str(), guest("d/g").c_str()), 0);
    QCOMPARE(textIn(host("d/g")), "text");
    QVERIFY(!statOf(guest("f")));
    QCOMPARE(::symlink("d/g", guest("s").c_str()), 0);
    QCOMPARE(std::filesystem::read_symlink(host("s")).string(), "d/g");
    QCOMPARE(textIn(guest("s")), "text");
    QCOMPARE(::link(guest("d/g").c_str(), guest("hard").c_str()), 0);
    QCOMPARE(statOf(host("hard"))->st_nlink, nlink_t{2});
    QCOMPARE(statOf(guest("hard"))->st_nlink, nlink_t{2});
    QCOMPARE(statOf(guest("hard"))->st_ino, statOf(guest("d/g"))->st_ino);
    QCOMPARE(::unlink(guest("d/g").c_str()), 0);
    QCOMPARE(textIn(guest("hard")), "text");
}

void TestFileShare::unlinkedFilesStayUsable()
{
    QVERIFY(writeText(guest("f"), "hello world"));
    Descriptor file(::open(guest("f").c_str(), O_RDWR));
    QCOMPARE(::unlink(guest("f").c_str()), 0);
    QVERIFY(!statOf(host("f")));
    QCOMPARE(::pwrite(file.get(), "HELLO", 5, 0), 5);
    char text[32]{};
    QCOMPARE(::pread(file.get(), text, sizeof text, 0), 11);
    QCOMPARE(std::string(text), "HELLO world");
    QCOMPARE(::ftruncate(file.get(), 3), 0);
    struct stat facts {};
    QCOMPARE(::fstat(file.get(), &facts), 0);
    QCOMPARE(facts.st_size, off_t{3});
}

void TestFileShare::replacedFilesStayUsable()
{
    QVERIFY(writeText(guest("new"), "1") && writeText(guest("old"), "2"));
    Descriptor file(::open(guest("old").c_str(), O_RDONLY));
    QCOMPARE(::rename(guest("new").c_str(), guest("old").c_str()), 0);
    char byte = 0;
    QCOMPARE(::read(file.get(), &byte, 1), 1);
    QCOMPARE(byte, '2');
    QCOMPARE(textIn(guest("old")), "1");
}

void TestFileShare::sharedMappingsAreWritten()
{
    QVERIFY(writeText(guest("m"), std::string(8192, 'a')));
    Descriptor file(::open(guest("m").c_str(), O_RDWR));
    void* memory = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    QVERIFY(memory != MAP_FAILED);
    std::memcpy(static_cast<char*>(memory) + 4096, "mmap", 4);
    QCOMPARE(::msync(memory, 8192, MS_SYNC), 0);
    ::munmap(memory, 8192);
    QCOMPARE(textIn(host("m"))->substr(4096, 4), "mmap");
}

void TestFileShare::largeFolders()
{
    QCOMPARE(::mkdir(guest("d").c_str(), 0755), 0);
    for (int i = 0; i < 500; ++i)
        QVERIFY(writeText(host("d/" + std::string(40, 'n') + std::to_string(i)), "x"));
    QTRY_COMPARE(namesIn(guest("d")).size(), std::size_t{500});
    QCOMPARE(namesIn(guest("d")), namesIn(host("d")));
    QCOMPARE(std::filesystem::remove_all(guest("d")), std::uintmax_t{501});
    QVERIFY(!statOf(host("d")));
}

void TestFileShare::largeFiles()
{
    std::string text(3000000, 'z');
    for (std::size_t i = 0; i < text.size(); i += 1000)
        text[i] = static_cast<char>('a' + i / 1000 % 26);
    QVERIFY(writeText(guest("big"), text));
    QVERIFY(textIn(host("big")) == text);
    QVERIFY(writeText(host("big2"), text));
    QTRY_VERIFY(textIn(guest("big2")) == text);
}

void TestFileShare::attributesAreKept()
{
    QVERIFY(writeText(guest("f"), "hello world"));
    QCOMPARE(::chmod(guest("f").c_str(), 0600), 0);
    QCOMPARE(statOf(host("f"))->st_mode & 07777, mode_t{0600});
    timespec times[2] = {{1, 0}, {2, 500}};
    QCOMPARE(::utimensat(AT_FDCWD, guest("f").c_str(), times, 0), 0);
    QCOMPARE(statOf(host("f"))->st_mtim.tv_sec, time_t{2});
    QCOMPARE(statOf(host("f"))->st_mtim.tv_nsec, 500L);
    QCOMPARE(::truncate(guest("f").c_str(), 5), 0);
    QCOMPARE(textIn(host("f")), "hello");
    QCOMPARE(::chown(guest("f").c_str(), 12, 34), 0);
    QCOMPARE(statOf(host("f"))->st_uid, uid_t{12});
    QCOMPARE(statOf(host("f"))->st_gid, gid_t{34});
}

void TestFileShare::specialFilesAndLocks()
{
    QCOMPARE(::mkfifo(guest("fifo").c_str(), 0644), 0);
    QVERIFY(S_ISFIFO(statOf(host("fifo"))->st_mode));
    QVERIFY(writeText(guest("f"), "x"));
    Descriptor one(::open(guest("f").c_str(), O_RDWR));
    Descriptor other(::open(guest("f").c_str(), O_RDWR));
    QCOMPARE(::flock(one.get(), LOCK_EX | LOCK_NB), 0);
    QCOMPARE(::flock(other.get(), LOCK_EX | LOCK_NB), -1);
    QCOMPARE(::posix_fallocate(one.get(), 0, 65536), 0);
    QCOMPARE(statOf(host("f"))->st_size, off_t{65536});
    QCOMPARE(::fsync(one.get()), 0);
}

void TestFileShare::extendedAttributes()
{
    QVERIFY(writeText(guest("f"), "x"));
    QCOMPARE(::setxattr(guest("f").c_str(), "user.colour", "blue", 4, 0), 0);
    char value[16]{};
    QCOMPARE(::getxattr(host("f").c_str(), "user.colour", value, sizeof value), 4);
    QCOMPARE(::getxattr(guest("f").c_str(), "user.colour", value, sizeof value), 4);
    QCOMPARE(std::string(value), "blue");
    QCOMPARE(::listxattr(guest("f").c_str(), value, sizeof value), 12);
    QCOMPARE(::removexattr(guest("f").c_str(), "user.colour"), 0);
    QCOMPARE(::getxattr(guest("f").c_str(), "user.colour", value, sizeof value), -1);
    QCOMPARE(::setxattr(guest("f").c_str(), "trusted.slipway", "x", 1, 0), -1);
}

void TestFileShare::renameIntoItselfIsRefused()
{
    QCOMPARE(::mkdir(guest("d").c_str(), 0755), 0);
    QCOMPARE(::rename(guest("d").c_str(), guest("d/sub").c_str()), -1);
    QCOMPARE(errno, EINVAL);
}

void TestFileShare::hostChangesAreSeen_data()
{
    using Step = std::function<void(const std::string&)>;
    using Check = std::function<bool(const std::string&)>;
    QTest::addColumn<Step>("before");
    QTest::addColumn<Check>("known");  // In the guest, so that it is cached.
    QTest::addColumn<Step>("change");
    QTest::addColumn<Check>("seen");
    auto has = [](std::string name, std::string text) {
        return [=](const std::string& dir) { return textIn(dir + name) == text; };
    };
    auto put = [](std::string name, std::string text) {
        return [=](const std::string& dir) { writeText(dir + name, text); };
    };
    auto absent = [](std::string name) {
        return [=](const std::string& dir) { return !statOf(dir + name); };
    };
    Step nothing = [](const std::string&) {};

    QTest::newRow("create over a cached absence")
        << nothing << Check(absent("/a")) << Step(put("/a", "1")) << Check(has("/a", "1"));
    QTest::newRow("same size") << Step(put("/a", "v1")) << Check(has("/a", "v1"))
                               << Step(put("/a", "v2")) << Check(has("/a", "v2"));
    QTest::newRow("grow") << Step(put("/a", "v1")) << Check(has("/a", "v1"))
                          << Step(put("/a", "longer")) << Check(has("/a", "longer"));
    QTest::newRow("shrink") << Step(put("/a", "longer")) << Check(has("/a", "longer"))
                            << Step(put("/a", "s")) << Check(has("/a", "s"));
    QTest::newRow("unlink") << Step(put("/a", "1")) << Check(has("/a", "1"))
                            << Step([](const std::string& dir) { ::unlink((dir + "/a").c_str()); })
                            << Check(absent("/a"));
    QTest::newRow("cached listing")
        << Step(put("/a", "1"))
        << Check([](const std::string& dir) { return namesIn(dir).size() == 1; })
        << Step(put("/b", "2"))
        << Check([](const std::string& dir) { return namesIn(dir).count("b") == 1; });
    QTest::newRow("atomic replace")
        << Step(put("/a", "1")) << Check(has("/a", "1")) << Step([](const std::string& dir) {
               writeText(dir + "/a~", "atomic");
               ::rename((dir + "/a~").c_str(), (dir + "/a").c_str());
           })
        << Check(has("/a", "atomic"));
    QTest::newRow("folder") << nothing << Check(absent("/d")) << Step([](const std::string& dir) {
        ::mkdir((dir + "/d").c_str(), 0755);
        writeText(dir + "/d/q", "q");
    }) << Check(has("/d/q", "q"));
    Step folder = [](const std::string& dir) {
        ::mkdir((dir + "/d").c_str(), 0755);
        writeText(dir + "/d/q", "q");
    };
    QTest::newRow("folder renamed")
        << folder << Check(has("/d/q", "q")) << Step([](const std::string& dir) {
               ::rename((dir + "/d").c_str(), (dir + "/e").c_str());
           })
        << Check([=](const std::string& dir) {
               return textIn(dir + "/e/q") == "q" && !statOf(dir + "/d");
           });
    QTest::newRow("write below a renamed folder")
        << folder << Check(has("/d/q", "q")) << Step([](const std::string& dir) {
               ::rename((dir + "/d").c_str(), (dir + "/e").c_str());
               writeText(dir + "/e/q", "qq");
           })
        << Check(has("/e/q", "qq"));
    QTest::newRow("rm -r") << folder << Check(has("/d/q", "q")) << Step([](const std::string& dir) {
        std::filesystem::remove_all(dir + "/d");
    }) << Check(absent("/d"));
    QTest::newRow("chmod") << Step(put("/a", "1")) << Check(has("/a", "1"))
                           << Step([](const std::string& dir) {
                                  ::chmod((dir + "/a").c_str(), 0640);
                              })
                           << Check([](const std::string& dir) {
                                  return (statOf(dir + "/a")->st_mode & 07777) == 0640;
                              });
    QTest::newRow("inode number reused")
        << Step(put("/a", "1")) << Check(has("/a", "1")) << Step([](const std::string& dir) {
               ::unlink((dir + "/a").c_str());
               writeText(dir + "/b", "other");
           })
        << Check([=](const std::string& dir) {
               return textIn(dir + "/b") == "other" && !statOf(dir + "/a");
           });
}

void TestFileShare::hostChangesAreSeen()
{
    using Step = std::function<void(const std::string&)>;
    using Check = std::function<bool(const std::string&)>;
    QFETCH(Step, before);
    QFETCH(Check, known);
    QFETCH(Step, change);
    QFETCH(Check, seen);
    before(m_world->host);
    QTRY_VERIFY(known(m_world->guest));
    change(m_world->host);
    QTRY_VERIFY_WITH_TIMEOUT(seen(m_world->guest), 2000);
}

void TestFileShare::openFilesSeeAppends()
{
    QVERIFY(writeText(host("log"), "one\n"));
    QTRY_COMPARE(textIn(guest("log")), "one\n");
    Descriptor file(::open(guest("log").c_str(), O_RDONLY));
    char text[32]{};
    QCOMPARE(::read(file.get(), text, sizeof text), 4);
    QVERIFY(writeText(host("log"), "two\n", std::ios::app));
    auto size = [&] {
        struct stat facts {};
        ::fstat(file.get(), &facts);
        return facts.st_size;
    };
    QTRY_COMPARE(size(), off_t{8});
    QCOMPARE(::read(file.get(), text, sizeof text), 4);
    QCOMPARE(std::string(text, 4), "two\n");
}

void TestFileShare::hardLinkedFilesSeeWritesThroughOtherNames()
{
    ::mkdir(host("in").c_str(), 0755);
    std::string outside = m_world->base + "/host/secret/other-name";
    QVERIFY(writeText(host("in/a"), "one"));
    QCOMPARE(::link(host("in/a").c_str(), outside.c_str()), 0);
    QTRY_COMPARE(textIn(guest("in/a")), "one");
    QVERIFY(writeText(outside, "two"));
    QTRY_COMPARE(textIn(guest("in/a")), "two");
    ::unlink(outside.c_str());
}

void TestFileShare::bothSidesAtOnceStayEqual()
{
    ::mkdir(host("d").c_str(), 0755);
    for (int i = 0; i < 50; ++i) writeText(host("d/n" + std::to_string(i)), "x");
    QTRY_VERIFY(statOf(guest("d/n49")));
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    std::thread onHost([&] {
        for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
            auto name = host("d/n" + std::to_string(i % 50));
            writeText(name, std::string(2000, static_cast<char>('a' + i % 26)));
            ::rename(name.c_str(), (name + "~").c_str());
            ::rename((name + "~").c_str(), name.c_str());
        }
    });
    auto inGuest = [&](int step) {
        for (int i = step; std::chrono::steady_clock::now() < end; i += step) {
            textIn(guest("d/n" + std::to_string(i % 50)));
            auto name = guest("d/g" + std::to_string(i % 50));
            writeText(name, std::string(5000, 'y'));
            ::unlink(name.c_str());
            namesIn(guest("d"));
        }
    };
    std::thread one([&] { inGuest(7); });
    std::thread two([&] { inGuest(3); });
    onHost.join();
    one.join();
    two.join();
    QTRY_COMPARE(namesIn(guest("d")), namesIn(host("d")));
    for (const auto& name : namesIn(host("d")))
        QTRY_COMPARE(textIn(guest("d/" + name)), textIn(host("d/" + name)));
}

// Several at once in the same folders, so that answers which were sent ahead cross each other.
// The event of the old one may come to the guest when the name leads to the new one already.
void TestFileShare::aFolderMadeAnewIsAlive()
{
    ::mkdir(host("d").c_str(), 0755);
    std::atomic<bool> over = false;
    std::thread looker([&] {
        for (Descriptor one, other; !over; std::swap(one, other))
            one.reset(::open(guest("d").c_str(), O_RDONLY | O_CLOEXEC));
    });
    bool isAlive = true;
    for (int i = 0; i < 50 && isAlive; ++i) {
        std::filesystem::remove_all(host("d"));
        ::mkdir(host("d").c_str(), 0755);
        isAlive = QTest::qWaitFor([&] { return writeText(guest("d/f"), "x"); }, 1000);
        writeText(host("end"), std::to_string(i));
        QTRY_COMPARE(textIn(guest("end")), std::to_string(i));
        isAlive = isAlive && QTest::qWaitFor([&] { return writeText(guest("d/f"), "x"); }, 1000);
    }
    over = true;
    looker.join();
    QVERIFY(isAlive);
}

void TestFileShare::attributesAreTrueWhenACallReturns()
{
    for (const char* folder : {"a", "b"}) ::mkdir(host(folder).c_str(), 0755);
    QTRY_VERIFY(statOf(guest("b")));
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    auto differs = [&](const std::string& name) {
        auto told = statOf(guest(name));
        auto is = statOf(host(name));
        if (!told || !is) return !told != !is;
        auto same = [](const timespec& one, const timespec& other) {
            return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
        };
        return told->st_size != is->st_size || told->st_mode != is->st_mode ||
               told->st_nlink != is->st_nlink || !same(told->st_mtim, is->st_mtim) ||
               !same(told->st_ctim, is->st_ctim);
    };
    std::mutex mutex;
    std::set<std::string> wrong;
    auto work = [&](const std::string& mine) {
        auto check = [&](const std::string& after, const std::string& name) {
            if (!differs(name)) return;
            std::lock_guard lock(mutex);
            wrong.insert(after + " " + name);
        };
        for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
            std::string name = "a/" + mine;
            std::string moved = "b/" + mine + "-moved";
            writeText(guest(name), std::string(static_cast<std::size_t>(i % 5000), 'x'));
            check("write", name);
            textIn(guest(name));
            check("read", name);
            ::chmod(guest(name).c_str(), i % 2 ? 0600 : 0644);
            check("chmod", name);
            ::link(guest(name).c_str(), guest(name + "-link").c_str());
            check("link", name);
            ::rename(guest(name).c_str(), guest(moved).c_str());
            check("rename", moved);
            ::unlink(guest(name + "-link").c_str());
            check("unlink of another name", moved);
            ::truncate(guest(moved).c_str(), 10);
            check("truncate", moved);
            namesIn(guest("b"));
            if (i % 3) ::unlink(guest(moved).c_str());
        }
    };
    std::vector<std::thread> threads;
    for (const char* mine : {"one", "two", "three"}) threads.emplace_back(work, std::string(mine));
    for (auto& thread : threads) thread.join();
    for (const char* folder : {"a", "b"}) {
        QVERIFY2(!differs(folder), folder);
        for (const auto& name : namesIn(host(folder)))
            QVERIFY2(!differs(std::string(folder) + "/" + name), name.c_str());
    }
    QVERIFY2(wrong.empty(), wrong.empty() ? "" : wrong.begin()->c_str());
}

// Two names asked for bring the others with them; what changes before those are asked for must
// show.
void TestFileShare::namesThatWereNotAskedForAreTrue()
{
    ::mkdir(host("d").c_str(), 0755);
    auto name = [](int i) { return "d/f" + std::to_string(i); };
    for (int i = 0; i < 20; ++i) writeText(host(name(i)), "old");
    QTRY_VERIFY(statOf(guest("d")));
    QVERIFY(statOf(guest(name(0))));
    QVERIFY(statOf(guest(name(1))));
    ::unlink(host(name(2)).c_str());
    writeText(host(name(3)), "new and longer");
    ::rename(host(name(4)).c_str(), host("d/moved").c_str());
    writeText(host("d/other"), "other");
    ::rename(host("d/other").c_str(), host(name(5)).c_str());
    ::chmod(host(name(6)).c_str(), 0600);
    QTRY_VERIFY(!statOf(guest(name(2))));
    QTRY_COMPARE(textIn(guest(name(3))), std::string("new and longer"));
    QTRY_VERIFY(!statOf(guest(name(4))));
    QTRY_COMPARE(textIn(guest("d/moved")), std::string("old"));
    QTRY_COMPARE(textIn(guest(name(5))), std::string("other"));
    QTRY_COMPARE(statOf(guest(name(6)))->st_mode & 0777, mode_t{0600});

    // What the guest does holds at once, whichever of the names it was told of.
    QCOMPARE(::unlink(guest(name(7)).c_str()), 0);
    QVERIFY(!statOf(guest(name(7))));
    QCOMPARE(::rename(guest(name(8)).c_str(), guest(name(9)).c_str()), 0);
    QVERIFY(!statOf(guest(name(8))));
    QCOMPARE(::rename(guest("d").c_str(), guest("e").c_str()), 0);
    QVERIFY(!statOf(guest(name(10))));
    QCOMPARE(textIn(guest("e/f10")), std::string("old"));
    ::mkdir(guest("d").c_str(), 0755);
    QVERIFY(!statOf(guest(name(11))));
    QCOMPARE(std::filesystem::remove_all(guest("e")), std::uintmax_t{18});
    QVERIFY(!statOf(guest("e/f12")));
    QCOMPARE(namesIn(host("d")), std::set<std::string>());
}

// Two listings, one below the other, bring those below.
void TestFileShare::listingsThatWereNotAskedForAreTrue()
{
    std::string secret = m_world->base + "/host/secret/";  // Where the guest hears nothing of it.
    for (int i = 0; i < 10; ++i) {
        auto folder = secret + "d/below/" + std::to_string(i) + "/deep";
        std::filesystem::create_directories(folder);
        writeText(folder + "/f", "x");
    }
    QTRY_VERIFY(std::time(nullptr) > statOf(secret + "d/below/9/deep")->st_ctim.tv_sec);
    ::rename((secret + "d").c_str(), host("d").c_str());
    auto name = [](int i) { return "d/below/" + std::to_string(i); };
    QTRY_COMPARE(namesIn(guest("d")), std::set<std::string>{"below"});
    QCOMPARE(namesIn(guest("d/below")).size(), std::size_t{10});

    writeText(host(name(0) + "/new"), "x");
    std::filesystem::remove_all(host(name(1) + "/deep"));
    ::rename(host(name(2) + "/deep/f").c_str(), host(name(2) + "/deep/g").c_str());
    ::chmod(host(name(3) + "/deep/f").c_str(), 0600);
    QTRY_COMPARE(namesIn(guest(name(0))), (std::set<std::string>{"deep", "new"}));
    QTRY_COMPARE(namesIn(guest(name(1))), std::set<std::string>());
    QTRY_COMPARE(namesIn(guest(name(2) + "/deep")), std::set<std::string>{"g"});
    QTRY_COMPARE(statOf(guest(name(3) + "/deep/f"))->st_mode & 0777, mode_t{0600});

    // What the guest does holds at once.
    QVERIFY(writeText(guest(name(4) + "/deep/g"), "x"));
    QCOMPARE(namesIn(guest(name(4) + "/deep")), (std::set<std::string>{"f", "g"}));
    QCOMPARE(::unlink(guest(name(5) + "/deep/f").c_str()), 0);
    QCOMPARE(namesIn(guest(name(5) + "/deep")), std::set<std::string>());
    QCOMPARE(::rename(guest(name(6) + "/deep").c_str(), guest(name(7) + "/moved").c_str()), 0);
    QCOMPARE(namesIn(guest(name(6))), std::set<std::string>());
    QCOMPARE(namesIn(guest(name(7))), (std::set<std::string>{"deep", "moved"}));
    QCOMPARE(namesIn(guest(name(7) + "/moved")), std::set<std::string>{"f"});
    QCOMPARE(std::filesystem::remove_all(guest(name(8))), std::uintmax_t{3});
    QVERIFY(!statOf(host(name(8))));
    QCOMPARE(namesIn(guest(name(9) + "/deep")), std::set<std::string>{"f"});
}

// Two files read bring the others with them; what changes before those are read must show.
void TestFileShare::contentsThatWereNotReadAreTrue()
{
    auto name = [](int i) { return "d/f" + std::to_string(i); };
    auto text = [](int i) { return "contents of " + std::to_string(i); };
    // Made where the guest hears nothing of it.
    std::string secret = m_world->base + "/host/secret/";
    ::mkdir((secret + "d").c_str(), 0755);
    for (int i = 0; i < 40; ++i) writeText(secret + name(i), text(i));
    QTRY_VERIFY(std::time(nullptr) > statOf(secret + name(39))->st_ctim.tv_sec);
    ::rename((secret + "d").c_str(), host("d").c_str());

    QTRY_COMPARE(namesIn(guest("d")).size(), std::size_t{40});
    QCOMPARE(textIn(guest(name(0))), text(0));
    QCOMPARE(textIn(guest(name(1))), text(1));
    // The server reads them without a trace, behind its answer, and need not read them again then.
    auto accessed = [&](int i) { return statOf(host(name(i)))->st_atim.tv_nsec; };
    int next = 20;
    QVERIFY(QTest::qWaitFor([&] {
        if (next == 40) return false;
        auto before = accessed(next);
        bool same = textIn(guest(name(next))) == text(next);
        return same && accessed(next++) == before;
    }));
    for (; next < 40; ++next) QCOMPARE(textIn(guest(name(next))), text(next));

    writeText(host(name(2)), "CONTENTS of 2");
    writeText(host(name(3)), " and more", std::ios::app);
    writeText(host("d/other"), "other");
    ::rename(host("d/other").c_str(), host(name(4)).c_str());
    ::truncate(host(name(5)).c_str(), 8);
    ::unlink(host(name(6)).c_str());
    QTRY_COMPARE(textIn(guest(name(2))), std::string("CONTENTS of 2"));
    QTRY_COMPARE(textIn(guest(name(3))), text(3) + " and more");
    QTRY_COMPARE(textIn(guest(name(4))), std::string("other"));
    QTRY_COMPARE(textIn(guest(name(5))), std::string("contents"));
    QTRY_VERIFY(!textIn(guest(name(6))));

    // What the guest does holds at once.
    Descriptor file(::open(guest(name(7)).c_str(), O_WRONLY | O_CLOEXEC));
    QCOMPARE(::pwrite(file.get(), "C", 1, 0), 1);
    QCOMPARE(textIn(guest(name(7))), std::string("Contents of 7"));
    QCOMPARE(::truncate(guest(name(8)).c_str(), 8), 0);
    QCOMPARE(textIn(guest(name(8))), std::string("contents"));
    QCOMPARE(::rename(guest(name(9)).c_str(), guest(name(10)).c_str()), 0);
    QCOMPARE(textIn(guest(name(10))), text(9));
    QVERIFY(writeText(guest(name(11)), "new"));
    QCOMPARE(textIn(guest(name(11))), std::string("new"));
    Descriptor unlinked(::open(guest(name(12)).c_str(), O_RDONLY | O_CLOEXEC));
    QCOMPARE(::unlink(guest(name(12)).c_str()), 0);
    char byte = 0;
    QCOMPARE(::pread(unlinked.get(), &byte, 1, 9), 1);
    QCOMPARE(byte, 'o');
}

// Contents are told of again and again, while their files are written here and there.
void TestFileShare::contentsAreTrueAmidSweeps()
{
    ::mkdir(host("d").c_str(), 0755);
    auto name = [](const std::string& mine, int i) { return "d/" + mine + std::to_string(i); };
    auto text = [](int i) {
        return std::string(static_cast<std::size_t>(100 + i % 3), static_cast<char>('a' + i % 26));
    };
    constexpr int kEach = 8;
    for (const char* mine : {"guest", "host"})
        for (int i = 0; i < kEach; ++i) writeText(host(name(mine, i)), "first");
    QTRY_COMPARE(namesIn(guest("d")).size(), std::size_t{2 * kEach});
    auto readAnew = [&](const std::string& path) {
        Descriptor file(::open(guest(path).c_str(), O_RDONLY | O_CLOEXEC));
        ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
        return textIn(guest(path));
    };
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    auto whileTime = [&](const std::function<void(int)>& once) {
        return std::thread([=] {
            for (int i = 0; std::chrono::steady_clock::now() < end; ++i) once(i);
        });
    };
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int n = 0; n < 2; ++n) {
        threads.push_back(whileTime([&](int i) {
            for (const char* mine : {"guest", "host"}) readAnew(name(mine, i % kEach));
        }));
    }
    threads.push_back(whileTime([&](int i) {
        writeText(guest(name("guest", i % kEach)), text(i));
        wrong += readAnew(name("guest", i % kEach)) != text(i);
    }));
    threads.push_back(whileTime([&](int i) { writeText(host(name("host", i % kEach)), text(i)); }));
    for (auto& thread : threads) thread.join();
    QCOMPARE(wrong, 0);
    for (const char* mine : {"guest", "host"})
        for (int i = 0; i < kEach; ++i)
            QTRY_COMPARE(textIn(guest(name(mine, i))), textIn(host(name(mine, i))));
}

void TestFileShare::othersCannotReadPrivateFiles()
{
    QVERIFY(writeText(host("private"), "secret"));
    ::chmod(host("private").c_str(), 0600);
    QVERIFY(writeText(host("open"), "public"));
    ::chmod(host("open").c_str(), 0644);
    // Root reads it first, so that all of it is cached.
    QTRY_COMPARE(textIn(guest("private")), "secret");
    QTRY_COMPARE(statOf(guest("private"))->st_mode & 07777, mode_t{0600});
    std::optional<std::string> asNobody = "not run", publicly;
    bool wrote = true;
    asUser(kNobody, kNobody, [&] {
        asNobody = textIn(guest("private"));
        publicly = textIn(guest("open"));
        wrote = writeText(guest("open"), "changed") || writeText(guest("made"), "x");
    });
    QCOMPARE(asNobody, std::nullopt);
    QCOMPARE(publicly, "public");
    QVERIFY(!wrote);
    QVERIFY(!statOf(host("made")));
}

void TestFileShare::newFilesBelongToTheirMaker()
{
    ::mkdir(host("tmp").c_str(), 0755);
    ::chmod(host("tmp").c_str(), 01777);
    QTRY_VERIFY(statOf(guest("tmp")) && (statOf(guest("tmp"))->st_mode & 07777) == 01777);
    asUser(1234, 5678, [&] {
        writeText(guest("tmp/f"), "x");
        ::mkdir(guest("tmp/d").c_str(), 0750);
        ::symlink("f", guest("tmp/s").c_str());
    });
    for (const auto* name : {"tmp/f", "tmp/d", "tmp/s"}) {
        QVERIFY(statOf(host(name)));
        QCOMPARE(statOf(host(name))->st_uid, uid_t{1234});
        QCOMPARE(statOf(host(name))->st_gid, gid_t{5678});
    }
    QCOMPARE(statOf(host("tmp/d"))->st_mode & 07777, mode_t{0750});
}

void TestFileShare::setGidFoldersPassOnTheirGroup()
{
    ::mkdir(host("team").c_str(), 0755);
    ::chown(host("team").c_str(), 0, 4321);
    ::chmod(host("team").c_str(), 02777);
    QTRY_VERIFY(statOf(guest("team")) && (statOf(guest("team"))->st_mode & 07777) == 02777);
    asUser(1234, 5678, [&] {
        writeText(guest("team/f"), "x");
        ::mkdir(guest("team/d").c_str(), 0755);
    });
    QCOMPARE(statOf(host("team/f"))->st_gid, gid_t{4321});
    QCOMPARE(statOf(host("team/d"))->st_gid, gid_t{4321});
    QCOMPARE(statOf(host("team/d"))->st_mode & 07777, mode_t{02755});
}

void TestFileShare::writesDropSetUid()
{
    QVERIFY(writeText(host("tool"), "x"));
    ::chmod(host("tool").c_str(), 04777);
    QTRY_VERIFY(statOf(guest("tool")) && (statOf(guest("tool"))->st_mode & 07777) == 04777);
    asUser(1234, 5678, [&] { writeText(guest("tool"), "y", std::ios::app); });
    QCOMPARE(textIn(host("tool")), "xy");
    QCOMPARE(statOf(host("tool"))->st_mode & 07777, mode_t{0777});
}

void TestFileShare::devicesCannotBeMade()
{
    QCOMPARE(::mknod(guest("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), -1);
    QCOMPARE(errno, EPERM);
    QVERIFY(!statOf(host("null")));
}

void TestFileShare::onlyGrantedPathsShow()
{
    std::string secret = m_world->base + "/host/secret";
    QVERIFY(writeText(secret + "/key", "secret"));
    QCOMPARE(namesIn(m_world->mountPoint + m_world->base + "/host"),
             std::set<std::string>{"shared"});
    QVERIFY(!statOf(m_world->mountPoint + secret));
    QVERIFY(!statOf(m_world->mountPoint + "/etc"));
    QCOMPARE(::mkdir((m_world->mountPoint + "/made").c_str(), 0755), -1);
}

void TestFileShare::linksOutOfTheGrantLeadNowhere()
{
    QVERIFY(writeText(m_world->base + "/host/secret/key", "secret"));
    QCOMPARE(::symlink("../secret/key", host("out").c_str()), 0);
    QCOMPARE(::symlink("../secret", host("outdir").c_str()), 0);
    QTRY_VERIFY(statOf(guest("out")) && statOf(guest("outdir")));
    QCOMPARE(textIn(guest("out")), std::nullopt);
    QCOMPARE(textIn(guest("outdir/key")), std::nullopt);
    // A folder that is moved out while the guest holds it.
    ::mkdir(host("d").c_str(), 0755);
    QTRY_VERIFY(statOf(guest("d")));
    Descriptor held(::open(guest("d").c_str(), O_RDONLY | O_DIRECTORY));
    auto moved = m_world->base + "/host/secret/d";
    QCOMPARE(::rename(host("d").c_str(), moved.c_str()), 0);
    QVERIFY(writeText(moved + "/later", "secret"));
    QTRY_VERIFY(!statOf(guest("d")));
    QCOMPARE(::openat(held.get(), "later", O_RDONLY), -1);
    std::filesystem::remove_all(moved);
}

void TestFileShare::singleFilesCanBeGranted()
{
    auto file = m_world->base + "/host/secret/one";
    QVERIFY(writeText(file, "1"));
    QVERIFY(writeText(m_world->base + "/host/secret/two", "2"));
    m_world->grant(file);
    QTRY_COMPARE(textIn(m_world->mountPoint + file), "1");
    QVERIFY(!statOf(m_world->mountPoint + m_world->base + "/host/secret/two"));
    QVERIFY(writeText(m_world->mountPoint + file, "changed"));
    QCOMPARE(textIn(file), "changed");
    QVERIFY(writeText(file, "by the host"));
    QTRY_COMPARE(textIn(m_world->mountPoint + file), "by the host");
}

// What is mounted from it then must not be what has just been removed.
void TestFileShare::aGrantMadeAnewIsSeenAtOnce()
{
    auto folder = m_world->base + "/host/anew";
    auto file = m_world->base + "/host/anew.conf";
    for (const char* text : {"old", "new"}) {
        std::filesystem::remove_all(folder);
        std::filesystem::create_directory(folder);
        QVERIFY(writeText(folder + "/f", text));
        QVERIFY(writeText(file + ".saved", text));
        std::filesystem::rename(file + ".saved", file);
        m_world->grant(folder);
        m_world->grant(file);
        QCOMPARE(textIn(m_world->mountPoint + folder + "/f"), text);
        QCOMPARE(textIn(m_world->mountPoint + file), text);
    }
}

void TestFileShare::aWiderGrantKeepsWhatIsMounted()
{
    auto deep = m_world->base + "/host/wide/a/b";
    std::filesystem::create_directories(deep);
    QVERIFY(writeText(deep + "/f", "deep"));
    m_world->grant(deep);
    QTRY_COMPARE(textIn(m_world->mountPoint + deep + "/f"), "deep");
    Descriptor held(::open((m_world->mountPoint + deep).c_str(), O_RDONLY | O_DIRECTORY));
    QVERIFY(writeText(m_world->base + "/host/wide/beside", "beside"));
    m_world->grant(m_world->base + "/host/wide");
    QTRY_COMPARE(textIn(m_world->mountPoint + m_world->base + "/host/wide/beside"), "beside");
    QTRY_COMPARE(namesIn(m_world->mountPoint + m_world->base + "/host/wide"),
                 (std::set<std::string>{"a", "beside"}));
    Descriptor file(::openat(held.get(), "f", O_RDONLY));
    QVERIFY(file);
}

void TestFileShare::uselessGrantsAreRefused()
{
    QVERIFY(m_world->tryGrant("/").find("name a folder") != std::string::npos);
    QVERIFY(m_world->tryGrant("relative").find("absolute") != std::string::npos);
    QVERIFY(m_world->tryGrant(host("not-there")).find("No such file") != std::string::npos);
    ::symlink(m_world->host.c_str(), (m_world->base + "/link").c_str());
    QVERIFY(
        m_world->tryGrant(m_world->base + "/link").find("share " + m_world->host + " instead") !=
        std::string::npos);
}

int main(int argc, char** argv)
{
    if (auto part = playedPart(argc, argv)) return *part;
    TestFileShare test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_file_share.moc"
