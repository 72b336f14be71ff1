// The endpoint's TCP listener: who gets in, and that its certificates are made once.
#include <sys/stat.h>

#include <QTemporaryDir>
#include <QtTest>

#include "shared/core/small_file.h"
#include "shared/tls/tls_stream.h"
#include "tests/support/run_until.h"
#include "wsl-bridge/engine/remote_engine.h"
#include "wsl-bridge/engine/tcp_endpoint.h"

using namespace slipway;
using slipway::test::runUntil;

namespace {

namespace fs = std::filesystem;

struct Bench {
    QTemporaryDir dir;
    Loop loop;
    std::vector<StreamPtr> served;
    std::unique_ptr<TcpEndpoint> endpoint;

    fs::path certificates() const { return fs::path(dir.path().toStdString()) / "tls"; }
    Result<> listen(bool tls, const std::string& address = "127.0.0.1", std::uint16_t port = 0)
    {
        endpoint.reset();
        TRY(endpoint,
            TcpEndpoint::listen(loop, {address, port, tls}, certificates(),
                                [this](StreamPtr client) { served.push_back(std::move(client)); }));
        return {};
    }
    // Whether a client gets a connection; with the certificates of `folder`, if it is not empty.
    bool reaches(const fs::path& folder)
    {
        std::optional<TlsContext> tls;
        if (!folder.empty()) tls = *TlsContext::client(tlsFilesIn(folder));
        std::optional<Result<StreamPtr>> stream;
        auto dialing = engineAt(loop, {.host = "127.0.0.1", .port = endpoint->port()},
                                tls)([&](Result<StreamPtr> made) { stream = std::move(made); });
        std::size_t before = served.size();
        return runUntil(loop, [&] { return stream.has_value(); }) && *stream &&
               runUntil(
                   loop, [&] { return served.size() > before; }, std::chrono::milliseconds(500));
    }
};

}  // namespace

class TestTcpEndpoint : public QObject {
    Q_OBJECT

private slots:
    void letsInWhoHasACertificate()
    {
        Bench bench;
        QVERIFY(bench.listen(true).has_value());
        QVERIFY(bench.reaches(bench.certificates() / "client"));
        QVERIFY(!bench.reaches({}));
        fs::path stranger = bench.certificates() / "stranger";
        fs::create_directories(stranger);
        fs::copy(bench.certificates() / "client/ca.pem", stranger / "ca.pem");
        Bench other;
        QVERIFY(other.listen(true).has_value());
        for (const char* file : {"cert.pem", "key.pem"})
            fs::copy(other.certificates() / "client" / file, stranger / file);
        QVERIFY(!bench.reaches(stranger));
    }

    void letsInEverybodyInTheOpen()
    {
        Bench bench;
        QVERIFY(bench.listen(false).has_value());
        QVERIFY(bench.reaches({}));
        QVERIFY(!fs::exists(bench.certificates()));
    }

    void isNeverInTheOpenToOtherHosts()
    {
        Bench bench;
        auto listening = bench.listen(false, "0.0.0.0");
        QVERIFY(!listening);
        QVERIFY2(listening.error().message.find("use TLS") != std::string::npos,
                 listening.error().message.c_str());
        QVERIFY(bench.listen(true, "0.0.0.0").has_value());
    }

    void namesAPortThatIsTaken()
    {
        Bench first;
        QVERIFY(first.listen(false).has_value());
        Bench second;
        auto listening = second.listen(false, "127.0.0.1", first.endpoint->port());
        QVERIFY(!listening);
        QVERIFY2(listening.error().message.find("address already in use") != std::string::npos,
                 listening.error().message.c_str());
    }

    void keepsWhatClientsHave()
    {
        Bench bench;
        QVERIFY(bench.listen(true).has_value());
        auto client = readFile(bench.certificates() / "client/cert.pem");
        QVERIFY(bench.listen(true).has_value());
        QCOMPARE(readFile(bench.certificates() / "client/cert.pem"), client);
        QVERIFY(bench.reaches(bench.certificates() / "client"));
        fs::remove(bench.certificates() / "ca-key.pem");  // A new authority certifies anew.
        QVERIFY(bench.listen(true).has_value());
        QVERIFY(readFile(bench.certificates() / "client/cert.pem") != client);
        QVERIFY(bench.reaches(bench.certificates() / "client"));
    }

    void keepsItsKeysToItself()
    {
        Bench bench;
        QVERIFY(bench.listen(true).has_value());
        for (const fs::path& folder : {bench.certificates(), bench.certificates() / "server",
                                       bench.certificates() / "client"}) {
            struct stat facts {};
            QCOMPARE(::stat(folder.c_str(), &facts), 0);
            QCOMPARE(facts.st_mode & 0777, mode_t{0700});
        }
    }

    void strangersThatSayNothingKeepNobodyOut()
    {
        Bench bench;
        QVERIFY(bench.listen(true).has_value());
        std::vector<std::unique_ptr<Connecting>> connecting;
        std::vector<StreamPtr> silent;
        for (int i = 0; i < 200; ++i)
            connecting.push_back(connectTcp(bench.loop, "127.0.0.1", bench.endpoint->port(),
                                            [&](Result<StreamPtr> made) {
                                                if (made) silent.push_back(*std::move(made));
                                            }));
        QVERIFY(runUntil(bench.loop, [&] { return silent.size() == 200; }));
        QVERIFY(bench.reaches(bench.certificates() / "client"));
    }
};

QTEST_GUILESS_MAIN(TestTcpEndpoint)
#include "tst_tcp_endpoint.moc"
