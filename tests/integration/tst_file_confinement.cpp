// The file server against a client that is no kernel: hand-made messages get nothing but what is
// granted, and repeated ones do no harm. Needs neither root nor FUSE.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include <sys/socket.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>

#include "shared/fuse/message_stream.h"
#include "wsl-bridge/files/file_server.h"

using namespace slipway;
using fuse::Opcode;

namespace {

constexpr int kNoAnswer = -1;

struct Answer {
    int error = kNoAnswer;  // 0 or a positive error number.
    std::vector<std::byte> body;

    template <class T>
    T as() const
    {
        T value{};
        std::copy_n(body.data(), std::min(sizeof value, body.size()),
                    reinterpret_cast<std::byte*>(&value));
        return value;
    }
};

template <class T>
std::string raw(const T& value)
{
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string named(std::string_view name)
{
    return std::string(name) + '\0';
}

int number(Errno error)
{
    return static_cast<int>(error);
}

}  // namespace

class TestFileConfinement : public QObject {
    Q_OBJECT

private slots:
    void init();
    void cleanup();

    void onlyGrantedNamesAreFound();
    void namesThatLeadElsewhereAreRefused_data();
    void namesThatLeadElsewhereAreRefused();
    void swappedFoldersLeadNowhere();
    void refusedRemovalsKeepNothingOpen_data();
    void refusedRemovalsKeepNothingOpen();
    void unknownNodesAreStale();
    void brokenMessagesDoNoHarm();
    void lengthsThatLieEndTheStream();
    void onlyFilesAreRead();
    void repeatedRequestsAreDoneOnce();
    void repeatedRequestsAreDoneOnceAfterARestart();
    void repeatedRenamesKeepTheirNodes_data();
    void repeatedRenamesKeepTheirNodes();
    void nodesOutliveTheServer();
    void replacedFilesAreNotTakenForTheOld();
    void aGrantedFolderThatIsMadeAnewIsAnother();
    void lateInjectionsChangeNothing();

private:
    void start();
    void connect();
    void say(Opcode opcode, std::uint64_t node, const std::string& body, std::uint64_t unique = 0);
    Answer ask(Opcode opcode, std::uint64_t node, const std::string& body = {},
               std::uint64_t unique = 0);
    fuse::EntryOut find(const std::string& path, bool* found = nullptr);
    void handshake();
    std::string path(const std::string& name) const { return m_base + "/" + name; }

    std::unique_ptr<QTemporaryDir> m_dir;
    std::string m_base;
    std::unique_ptr<FileServer> m_server;
    std::unique_ptr<fuse::MessageStream> m_client;
    std::uint64_t m_unique = 0;
    std::uint32_t m_gid = 0;
};

void TestFileConfinement::init()
{
    m_dir = std::make_unique<QTemporaryDir>();
    m_base = std::filesystem::canonical(m_dir->path().toStdString());
    std::filesystem::create_directories(path("granted/sub"));
    std::filesystem::create_directories(path("secret"));
    std::ofstream(path("granted/file")) << "open";
    std::ofstream(path("secret/key")) << "secret";
    start();
    connect();
    handshake();
}

void TestFileConfinement::cleanup()
{
    m_client.reset();
    m_server.reset();
    std::error_code ignored;  // QTemporaryDir leaves a name that is not UTF-8.
    std::filesystem::remove_all(m_base, ignored);
    m_dir.reset();
    m_gid = 0;
}

void TestFileConfinement::start()
{
    m_server.reset();
    auto server = startFileServer({path("state"), {}});
    QVERIFY2(server, server ? "" : server.error().message.c_str());
    m_server = std::move(*server);
    auto granted = m_server->grant(path("granted"));
    QVERIFY2(granted, granted ? "" : granted.error().message.c_str());
}

void TestFileConfinement::connect()
{
    int ends[2] = {-1, -1};
    QVERIFY(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    m_client = std::make_unique<fuse::MessageStream>(Descriptor(ends[0]));
    QVERIFY(m_server->attach(0, Descriptor(ends[1])));
}

void TestFileConfinement::handshake()
{
    fuse::InitIn in{};
    in.major = 7;
    in.minor = 45;
    in.flags = ~0u;
    in.flags2 = ~0u;
    auto answer = ask(Opcode::Init, 0, raw(in));
    QCOMPARE(answer.error, 0);
    QCOMPARE(answer.as<fuse::InitOut>().major, 7u);
}

void TestFileConfinement::say(Opcode opcode, std::uint64_t node, const std::string& body,
                              std::uint64_t unique)
{
    fuse::InHeader header{};
    header.len = static_cast<std::uint32_t>(sizeof header + body.size());
    header.opcode = opcode;
    header.unique = unique;
    header.nodeid = node;
    header.uid = m_gid ? 0 : ::getuid();
    header.gid = m_gid ? m_gid : ::getgid();
    std::array parts{std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(body))};
    m_client->write(parts);
}

Answer TestFileConfinement::ask(Opcode opcode, std::uint64_t node, const std::string& body,
                                std::uint64_t unique)
{
    if (unique == 0) unique = m_unique += 2;
    say(opcode, node, body, unique);
    std::vector<std::byte> message;
    while (m_client->read(message)) {
        fuse::OutHeader header{};
        std::memcpy(&header, message.data(), sizeof header);
        if (header.unique != unique) continue;  // A notice.
        return {-header.error, {message.begin() + sizeof header, message.end()}};
    }
    return {};
}

fuse::EntryOut TestFileConfinement::find(const std::string& wanted, bool* found)
{
    fuse::EntryOut entry{};
    entry.nodeid = fuse::kRootId;
    if (found) *found = true;
    for (const auto& part : std::filesystem::path(wanted).relative_path()) {
        auto answer = ask(Opcode::Lookup, entry.nodeid, named(part.string()));
        entry = answer.as<fuse::EntryOut>();
        if (answer.error == 0 && entry.nodeid != 0) continue;
        if (found) *found = false;
        return {};
    }
    return entry;
}

void TestFileConfinement::onlyGrantedNamesAreFound()
{
    bool found = false;
    QVERIFY(find(path("granted/file")).nodeid != 0);
    for (const auto& hidden :
         {path("secret"), path("state"), std::string("/etc"), std::string("/proc")}) {
        find(hidden, &found);
        QVERIFY2(!found, hidden.c_str());
    }
    auto above = find(m_base);
    QVERIFY(ask(Opcode::Mkdir, above.nodeid, raw(fuse::MkdirIn{0755, 022}) + named("made")).error !=
            0);
    QVERIFY(ask(Opcode::Rmdir, above.nodeid, named("granted")).error != 0);
    QVERIFY(!std::filesystem::exists(path("made")));
}

void TestFileConfinement::namesThatLeadElsewhereAreRefused_data()
{
    QTest::addColumn<std::string>("name");
    QTest::newRow("parent") << std::string("..");
    QTest::newRow("self") << std::string(".");
    QTest::newRow("path") << std::string("../secret/key");
    QTest::newRow("absolute") << std::string("/etc/passwd");
    QTest::newRow("below") << std::string("sub/x");
    QTest::newRow("empty") << std::string();
}

void TestFileConfinement::namesThatLeadElsewhereAreRefused()
{
    QFETCH(std::string, name);
    auto granted = find(path("granted")).nodeid;
    auto file = find(path("granted/file")).nodeid;
    QCOMPARE(ask(Opcode::Lookup, granted, named(name)).error, number(Errno::Invalid));
    QCOMPARE(ask(Opcode::Mkdir, granted, raw(fuse::MkdirIn{0755, 0}) + named(name)).error,
             number(Errno::Invalid));
    QCOMPARE(ask(Opcode::Create, granted, raw(fuse::CreateIn{2, 0644, 0, 0}) + named(name)).error,
             number(Errno::Invalid));
    QCOMPARE(ask(Opcode::Symlink, granted, named(name) + named("target")).error,
             number(Errno::Invalid));
    QCOMPARE(ask(Opcode::Link, granted, raw(fuse::LinkIn{file}) + named(name)).error,
             number(Errno::Invalid));
    QCOMPARE(ask(Opcode::Unlink, granted, named(name)).error, number(Errno::Invalid));
    QCOMPARE(
        ask(Opcode::Rename, granted, raw(fuse::RenameIn{granted}) + named("file") + named(name))
            .error,
        number(Errno::Invalid));
    QVERIFY(std::filesystem::exists(path("granted/file")));
    QVERIFY(std::filesystem::exists(path("secret/key")));
}

void TestFileConfinement::swappedFoldersLeadNowhere()
{
    // A folder that the client knows becomes a link to outside: its node must not follow.
    auto sub = find(path("granted/sub")).nodeid;
    std::filesystem::remove(path("granted/sub"));
    std::filesystem::create_directory_symlink(path("secret"), path("granted/sub"));
    QTRY_COMPARE(ask(Opcode::Lookup, sub, named("key")).error, number(Errno::Stale));
    auto link = find(path("granted/sub"));
    QCOMPARE(link.attr.mode & fuse::kTypeMask, fuse::kTypeSymlink);
    QCOMPARE(ask(Opcode::Lookup, link.nodeid, named("key")).error, number(Errno::NotDirectory));
    QVERIFY(ask(Opcode::Read, link.nodeid, raw(fuse::ReadIn{0, 0, 4096, 0, 0, 0, 0})).error != 0);
}

// What is unlinked is held open for the guest; what only should have been is not.
void TestFileConfinement::refusedRemovalsKeepNothingOpen_data()
{
    QTest::addColumn<int>("opcode");
    for (Opcode opcode : {Opcode::Rmdir, Opcode::Unlink, Opcode::Rename})
        QTest::addRow("%d", static_cast<int>(opcode)) << static_cast<int>(opcode);
}

void TestFileConfinement::refusedRemovalsKeepNothingOpen()
{
    QFETCH(int, opcode);
    std::ofstream(path("granted/sub/key")) << "secret soon";
    auto granted = find(path("granted")).nodeid;
    auto sub = find(path("granted/sub")).nodeid;
    std::string body = named("sub");
    if (opcode == static_cast<int>(Opcode::Rename))
        body = raw(fuse::RenameIn{granted}) + named("file") + body;
    QVERIFY(ask(static_cast<Opcode>(opcode), granted, body).error > 0);
    std::filesystem::rename(path("granted/sub"), path("moved"));
    QTRY_COMPARE(ask(Opcode::Lookup, sub, named("key")).error, number(Errno::Stale));
}

void TestFileConfinement::unknownNodesAreStale()
{
    for (std::uint64_t node : {std::uint64_t{0}, std::uint64_t{99999}, ~std::uint64_t{0}}) {
        QCOMPARE(ask(Opcode::Getattr, node, std::string(16, '\0')).error, number(Errno::Stale));
        QCOMPARE(ask(Opcode::Lookup, node, named("file")).error, number(Errno::Stale));
        QCOMPARE(ask(Opcode::Read, node, raw(fuse::ReadIn{0, 0, 4096, 0, 0, 0, 0})).error,
                 number(Errno::Stale));
    }
}

void TestFileConfinement::brokenMessagesDoNoHarm()
{
    auto granted = find(path("granted")).nodeid;
    auto file = find(path("granted/file")).nodeid;
    std::mt19937 random(20261101);  // A fixed seed: a failure can be repeated.
    for (std::uint32_t opcode = 0; opcode < 60; ++opcode) {
        auto known = static_cast<Opcode>(opcode);
        if (known == Opcode::Init || fuse::isOneWay(known)) continue;
        for (std::size_t length : {0, 1, 7, 8, 15, 16, 39, 40, 41, 88, 200}) {
            std::string body(length, '\0');
            for (auto& byte : body) byte = static_cast<char>(random());
            for (auto node : {fuse::kRootId, granted, file})
                QVERIFY(ask(known, node, body).error != kNoAnswer);
        }
    }
    say(Opcode::Forget, granted, "x");
    say(Opcode::BatchForget, 0,
        raw(fuse::BatchForgetIn{0xffffffff, 0}) + raw(fuse::ForgetOne{granted, 0}));
    say(Opcode::InjectionDone, 0, "");
    QVERIFY(find(path("granted/file")).nodeid != 0);
    QVERIFY(std::filesystem::exists(path("secret/key")));
}

void TestFileConfinement::lengthsThatLieEndTheStream()
{
    for (std::uint32_t length : {0u, 4u, 15u, 0x7fffffffu, 0xffffffffu}) {
        fuse::InHeader header{};
        header.len = length;
        m_client->write(std::as_bytes(std::span(&header, 1)));
        std::vector<std::byte> message;
        while (m_client->read(message)) continue;  // Notices, then the end.
        connect();
        QVERIFY(find(path("granted/file")).nodeid != 0);
    }
}

void TestFileConfinement::onlyFilesAreRead()
{
    auto granted = find(path("granted")).nodeid;
    QCOMPARE(ask(Opcode::Mknod, granted,
                 raw(fuse::MknodIn{fuse::kTypeFifo | 0644, 0, 0, 0}) + named("fifo"))
                 .error,
             0);
    fuse::ReadIn in{0, 0, 4096, 0, 0, 0, 0};
    QCOMPARE(ask(Opcode::Read, granted, raw(in)).error, number(Errno::IsDirectory));
    QCOMPARE(ask(Opcode::Read, find(path("granted/fifo")).nodeid, raw(in)).error,
             number(Errno::Invalid));
    in.size = 0xffffffff;
    QCOMPARE(ask(Opcode::Read, find(path("granted/file")).nodeid, raw(in)).error,
             number(Errno::Invalid));
}

void TestFileConfinement::repeatedRequestsAreDoneOnce()
{
    auto granted = find(path("granted")).nodeid;
    auto file = find(path("granted/file")).nodeid;
    auto twice = [&](Opcode opcode, const std::string& body, Errno withoutIt) {
        auto unique = m_unique += 2;
        QCOMPARE(ask(opcode, granted, body, unique).error, 0);
        QCOMPARE(ask(opcode, granted, body, unique | fuse::kResentBit).error, 0);
        QCOMPARE(ask(opcode, granted, body).error, number(withoutIt));
    };
    twice(Opcode::Mkdir, raw(fuse::MkdirIn{0755, 0}) + named("d"), Errno::Exists);
    twice(Opcode::Mknod, raw(fuse::MknodIn{fuse::kTypeRegular | 0644, 0, 0, 0}) + named("n"),
          Errno::Exists);
    twice(Opcode::Create, raw(fuse::CreateIn{fuse::kOpenExclusive, 0644, 0, 0}) + named("c"),
          Errno::Exists);
    twice(Opcode::Symlink, named("s") + named("target"), Errno::Exists);
    twice(Opcode::Link, raw(fuse::LinkIn{file}) + named("l"), Errno::Exists);
    twice(Opcode::Rename, raw(fuse::RenameIn{granted}) + named("n") + named("m"), Errno::NoEntry);
    twice(Opcode::Unlink, named("m"), Errno::NoEntry);
    twice(Opcode::Rmdir, named("d"), Errno::NoEntry);
}

void TestFileConfinement::repeatedRequestsAreDoneOnceAfterARestart()
{
    auto granted = find(path("granted")).nodeid;
    auto made = m_unique += 2;
    auto mkdir = raw(fuse::MkdirIn{0755, 0}) + named("d");
    QCOMPARE(ask(Opcode::Mkdir, granted, mkdir, made).error, 0);
    auto failed = m_unique += 2;
    QCOMPARE(ask(Opcode::Rmdir, granted, named("none"), failed).error, number(Errno::NoEntry));
    start();
    connect();
    QCOMPARE(ask(Opcode::Mkdir, granted, mkdir, made | fuse::kResentBit).error, 0);
    QCOMPARE(ask(Opcode::Rmdir, granted, named("none"), failed | fuse::kResentBit).error,
             number(Errno::NoEntry));
}

void TestFileConfinement::repeatedRenamesKeepTheirNodes_data()
{
    QTest::addColumn<bool>("exchange");
    QTest::addColumn<bool>("restart");
    QTest::newRow("the answer was lost") << false << false;
    QTest::newRow("the server died after it") << false << true;
    QTest::newRow("of an exchange the answer was lost") << true << false;
    QTest::newRow("the server died after an exchange") << true << true;
}

void TestFileConfinement::repeatedRenamesKeepTheirNodes()
{
    QFETCH(bool, exchange);
    QFETCH(bool, restart);
    std::ofstream(path("granted/other")) << "other";
    auto granted = find(path("granted")).nodeid;
    auto file = find(path("granted/file")).nodeid;
    auto other = find(path("granted/other")).nodeid;
    constexpr std::uint32_t kExchange = 2;
    auto body =
        raw(fuse::Rename2In{granted, exchange ? kExchange : 0, 0}) + named("file") + named("other");
    auto unique = m_unique += 2;
    QCOMPARE(ask(Opcode::Rename2, granted, body, unique).error, 0);
    if (restart) {
        start();
        connect();
    }
    QCOMPARE(ask(Opcode::Rename2, granted, body, unique | fuse::kResentBit).error, 0);
    auto textOf = [&](std::uint64_t node) {
        auto text = ask(Opcode::Read, node, raw(fuse::ReadIn{0, 0, 4096, 0, 0, 0, 0}));
        return std::string(reinterpret_cast<const char*>(text.body.data()), text.body.size());
    };
    QCOMPARE(textOf(file), "open");
    if (exchange) QCOMPARE(textOf(other), "other");
    QCOMPARE(find(path("granted/other")).nodeid, file);
}

void TestFileConfinement::nodesOutliveTheServer()
{
    auto sub = find(path("granted/sub")).nodeid;
    auto file = find(path("granted/file")).nodeid;
    start();
    connect();
    std::filesystem::rename(path("granted/file"),
                            path("granted/sub/file"));  // Nobody has seen it yet.
    auto entry = ask(Opcode::Lookup, sub, named("file"));
    QCOMPARE(entry.error, 0);
    QCOMPARE(entry.as<fuse::EntryOut>().nodeid, file);
    auto text = ask(Opcode::Read, file, raw(fuse::ReadIn{0, 0, 4096, 0, 0, 0, 0}));
    QCOMPARE(text.error, 0);
    QCOMPARE(std::string(reinterpret_cast<const char*>(text.body.data()), text.body.size()),
             "open");
    // Forgotten as often as it was told: gone.
    say(Opcode::Forget, file, raw(fuse::ForgetIn{2}));
    QTRY_COMPARE(ask(Opcode::Getattr, file, std::string(16, '\0')).error, number(Errno::Stale));
}

void TestFileConfinement::replacedFilesAreNotTakenForTheOld()
{
    auto file = find(path("granted/file")).nodeid;
    auto sub = find(path("granted/sub")).nodeid;
    m_client.reset();
    m_server.reset();  // So that nobody hears of it.
    std::ofstream(path("granted/other")) << "another file";
    std::filesystem::rename(path("granted/other"), path("granted/file"));
    std::filesystem::create_directory(path("granted/sub2"));
    std::ofstream(path("granted/sub2/x")) << "x";
    std::filesystem::remove(path("granted/sub"));
    std::filesystem::rename(path("granted/sub2"), path("granted/sub"));
    start();
    connect();
    auto stale = number(Errno::Stale);
    QCOMPARE(ask(Opcode::Getattr, file, std::string(16, '\0')).error, stale);
    QCOMPARE(ask(Opcode::Read, file, raw(fuse::ReadIn{0, 0, 4096, 0, 0, 0, 0})).error, stale);
    QCOMPARE(ask(Opcode::Lookup, sub, named("x")).error, stale);
}

void TestFileConfinement::aGrantedFolderThatIsMadeAnewIsAnother()
{
    auto above = find(m_base).nodeid;
    auto before = ask(Opcode::Lookup, above, named("granted")).as<fuse::EntryOut>();
    QCOMPARE(before.entryValid, std::uint64_t{0});  // The kernel asks each time.
    std::filesystem::remove_all(path("granted"));
    std::filesystem::create_directories(path("granted"));
    std::ofstream(path("granted/new")) << "new";
    QVERIFY(m_server->grant(path("granted")));
    auto after = ask(Opcode::Lookup, above, named("granted")).as<fuse::EntryOut>();
    QVERIFY(after.nodeid != before.nodeid);
    QVERIFY(ask(Opcode::Lookup, after.nodeid, named("new")).as<fuse::EntryOut>().nodeid != 0);
    QCOMPARE(ask(Opcode::Lookup, before.nodeid, named("new")).as<fuse::EntryOut>().nodeid,
             std::uint64_t{0});
}

void TestFileConfinement::lateInjectionsChangeNothing()
{
    auto granted = find(path("granted")).nodeid;
    m_gid = fuse::kInjectorGid;
    QCOMPARE(ask(Opcode::Unlink, granted, named("file")).error, number(Errno::NotPermitted));
    QCOMPARE(ask(Opcode::Rmdir, granted, named("sub")).error, number(Errno::NotPermitted));
    QCOMPARE(ask(Opcode::Rename, granted, raw(fuse::RenameIn{granted}) + named("file") + named("x"))
                 .error,
             number(Errno::NotPermitted));
    QCOMPARE(ask(Opcode::Mkdir, granted, raw(fuse::MkdirIn{0755, 0}) + named("made")).error,
             number(Errno::NotPermitted));
    QVERIFY(std::filesystem::exists(path("granted/file")) &&
            std::filesystem::exists(path("granted/sub")));
    QVERIFY(!std::filesystem::exists(path("granted/made")));
}

QTEST_GUILESS_MAIN(TestFileConfinement)
#include "tst_file_confinement.moc"
