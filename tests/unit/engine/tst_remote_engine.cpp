// Engines elsewhere: how their addresses are written, and the ways to them over real sockets.
#include <QTemporaryDir>
#include <QtTest>

#include "shared/io/uv_stream.h"
#include "shared/tls/certificates.h"
#include "shared/tls/tls_stream.h"
#include "tests/support/run_until.h"
#include "wsl-bridge/engine/remote_engine.h"

using namespace slipway;
using slipway::test::runUntil;

namespace {

// Dials once and keeps what comes of it.
struct Dial {
    Dial(Loop& loop, const std::string& address, std::optional<TlsContext> tls = std::nullopt)
        : dialing(engineAt(loop, *parseEngineAddress(address), std::move(tls))(
              [this](Result<StreamPtr> made) { stream = std::move(made); }))
    {
    }
    std::optional<Result<StreamPtr>> stream;
    DialingPtr dialing;
    bool good() const { return stream && *stream; }
    bool bad() const { return stream && !*stream; }
};

}  // namespace

class TestRemoteEngine : public QObject {
    Q_OBJECT

private slots:
    void readsAddresses_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("means");  // Empty: it is refused.
        QTest::newRow("TLS") << "tcp://10.0.0.5:2376"
                             << "tcp://10.0.0.5:2376";
        QTest::newRow("a name") << "tcp://engine.lan:2375"
                                << "tcp://engine.lan:2375";
        QTest::newRow("no port") << "tcp://engine.lan"
                                 << "tcp://engine.lan:2375";
        QTest::newRow("bare") << "10.0.0.5:2375"
                              << "tcp://10.0.0.5:2375";
        QTest::newRow("bare name") << "engine"
                                   << "tcp://engine:2375";
        QTest::newRow("IPv6") << "tcp://[fe80::1]:2376"
                              << "tcp://[fe80::1]:2376";
        QTest::newRow("IPv6 bare") << "::1"
                                   << "tcp://[::1]:2375";
        QTest::newRow("IPv6 in brackets") << "[::1]"
                                          << "tcp://[::1]:2375";
        QTest::newRow("a slash behind") << "tcp://w:2375/"
                                        << "tcp://w:2375";
        QTest::newRow("unix") << "unix:///run/docker.sock"
                              << "unix:///run/docker.sock";
        QTest::newRow("unix, relative") << "unix://docker.sock"
                                        << "";
        QTest::newRow("another scheme") << "ssh://me@host"
                                        << "";
        QTest::newRow("a pipe") << "npipe:////./pipe/docker_engine"
                                << "";
        QTest::newRow("nothing") << ""
                                 << "";
        QTest::newRow("no host") << "tcp://:2375"
                                 << "";
        QTest::newRow("a path") << "tcp://w:2375/v1"
                                << "";
        QTest::newRow("port 0") << "w:0"
                                << "";
        QTest::newRow("a port too far") << "w:65536"
                                        << "";
        QTest::newRow("no number") << "w:http"
                                   << "";
        QTest::newRow("no port behind the colon") << "w:"
                                                  << "";
        QTest::newRow("behind the brackets") << "[::1]2375"
                                             << "";
    }
    void readsAddresses()
    {
        QFETCH(QString, text);
        QFETCH(QString, means);
        auto address = parseEngineAddress(text.toStdString());
        QCOMPARE(address ? QString::fromStdString(toText(*address)) : QString(), means);
        if (address) return;
        QCOMPARE(address.error().code, Code::InvalidArgument);
        QVERIFY2(address.error().message.find("tcp://HOST:2376") != std::string::npos,
                 address.error().message.c_str());
    }

    void reachesAUnixSocket()
    {
        Loop loop;
        QTemporaryDir dir;
        std::string path = dir.filePath("engine.sock").toStdString();
        StreamPtr accepted;
        auto listener =
            *listenUnix(loop, path, 0600, [&](StreamPtr s) { accepted = std::move(s); });
        Dial dial(loop, "unix://" + path);
        QVERIFY(runUntil(loop, [&] { return dial.good() && accepted; }));
    }

    void triesTheAddressesOfANameInTurn()
    {
        Loop loop;
        StreamPtr accepted;
        auto listener =
            *listenTcp(loop, "127.0.0.1", 0, [&](StreamPtr s) { accepted = std::move(s); });
        Dial dial(loop, "localhost:" + std::to_string(listener->port()));  // ::1 may be first.
        QVERIFY(runUntil(loop, [&] { return dial.good() && accepted; }));
    }

    void saysWhereNobodyListens()
    {
        Loop loop;
        std::uint16_t port = (*listenTcp(loop, "127.0.0.1", 0, [](StreamPtr) {}))->port();
        Dial dial(loop, "127.0.0.1:" + std::to_string(port));
        QVERIFY(runUntil(loop, [&] { return dial.bad(); }));
        std::string told = "connect to 127.0.0.1:" + std::to_string(port) + ": ";
        QVERIFY2(dial.stream->error().message.starts_with(told),
                 dial.stream->error().message.c_str());
    }

    void speaksTlsWhereItIsToldTo()
    {
        QTemporaryDir dir;
        std::filesystem::path folder = dir.path().toStdString();
        PemPair authority = *makeAuthority("test");
        auto server = *TlsContext::server(*writeCertificates(
            folder / "server",
            *issueCertificate(authority, "server", TlsRole::Server, {"127.0.0.1"}), authority));
        auto client = *TlsContext::client(*writeCertificates(
            folder / "client", *issueCertificate(authority, "client", TlsRole::Client), authority));
        Loop loop;
        std::unique_ptr<TlsHandshake> shaking;
        StreamPtr served;
        auto accept = [&](StreamPtr raw) {
            shaking = startTls(loop, std::move(raw), server, "", [&](Result<StreamPtr> secure) {
                if (secure) served = *std::move(secure);
            });
        };
        auto listener = *listenTcp(loop, "127.0.0.1", 0, accept);
        std::string address = "127.0.0.1:" + std::to_string(listener->port());
        Dial dial(loop, address, client);
        QVERIFY(runUntil(loop, [&] { return dial.good() && served; }));
        Dial stranger(loop, address, *TlsContext::client({}));
        QVERIFY(runUntil(loop, [&] { return stranger.bad(); }));
        QCOMPARE(stranger.stream->error().code, Code::Unauthenticated);
    }

    void canBeGivenUp()
    {
        Loop loop;
        auto dial = std::make_unique<Dial>(loop, "localhost:1");
        dial.reset();
        QVERIFY(!runUntil(
            loop, [] { return false; }, std::chrono::milliseconds(50)));
    }
};

QTEST_GUILESS_MAIN(TestRemoteEngine)
#include "tst_remote_engine.moc"
