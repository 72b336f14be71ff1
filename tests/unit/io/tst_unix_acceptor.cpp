// A listener of bare descriptors, and what it does when the process has none left.
#include <cstring>
#include <fstream>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fcntl.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>

#include "shared/core/log.h"
#include "shared/io/unix_acceptor.h"
#include "tests/support/run_until.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class TestUnixAcceptor : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    fs::path path(const char* name) const { return fs::path(m_dir.path().toStdString()) / name; }

    static Descriptor knock(const fs::path& socket)
    {
        Descriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
        if (::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            return {};
        return made;
    }

private slots:
    void whoKnocksWhileNoDescriptorIsLeftWaits()
    {
        QVERIFY(log::toFile(path("log")));
        Loop loop;
        int accepted = 0;
        auto acceptor = UnixAcceptor::listen(loop, path("socket"), 0600,
                                             [&](const Descriptor&) { ++accepted; });
        QVERIFY(acceptor);
        Descriptor client = knock(path("socket"));
        QVERIFY(client);

        rlimit before{};
        QCOMPARE(::getrlimit(RLIMIT_NOFILE, &before), 0);
        rlimit none{0, before.rlim_max};
        QCOMPARE(::setrlimit(RLIMIT_NOFILE, &none), 0);
        int turns = 0;  // Of the loop: runUntil() itself makes some 200 a second.
        bool came = runUntil(
            loop, [&] { return ++turns && accepted > 0; }, 1s);
        QCOMPARE(::setrlimit(RLIMIT_NOFILE, &before), 0);
        QVERIFY(!came);
        QVERIFY2(turns < 600, qPrintable(QString::number(turns)));

        QVERIFY(runUntil(loop, [&] { return accepted == 1; }));
        log::toStderr();
        std::ifstream in(path("log"));
        std::string text(std::istreambuf_iterator<char>(in), {});
        QCOMPARE(QString::fromStdString(text).count("accept on"), 1);
    }
};

QTEST_GUILESS_MAIN(TestUnixAcceptor)
#include "tst_unix_acceptor.moc"
