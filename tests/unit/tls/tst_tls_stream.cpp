// TLS over real sockets: who is trusted, bytes of any number, half-close, an end without a goodbye.
#include <fstream>

#include <sys/socket.h>

#include <QTemporaryDir>
#include <QtTest>

#include "shared/io/uv_stream.h"
#include "shared/tls/certificates.h"
#include "shared/tls/tls_stream.h"
#include "tests/support/run_until.h"

using namespace slipway;
using slipway::test::runUntil;

namespace {

void write(const std::filesystem::path& file, const std::string& text)
{
    std::ofstream(file) << text;
}

// Two ends on one loop; each is there once its handshake is done.
struct Ends {
    Ends(Loop& loop, const TlsContext& serves, const TlsContext& asks, const std::string& name)
    {
        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
            std::abort();
        shaking.push_back(startTls(loop, *adoptSocket(loop, Descriptor(fds[0])), serves, "",
                                   [this](Result<StreamPtr> made) { server = std::move(made); }));
        shaking.push_back(startTls(loop, *adoptSocket(loop, Descriptor(fds[1])), asks, name,
                                   [this](Result<StreamPtr> made) { client = std::move(made); }));
    }

    std::vector<std::unique_ptr<TlsHandshake>> shaking;
    Result<StreamPtr> server = nullptr;
    Result<StreamPtr> client = nullptr;
    bool both() const { return server && *server && client && *client; }
};

// Reads until the end, as the relay does.
struct Reader {
    explicit Reader(ByteStream& from) : stream(from) { next(); }
    void next()
    {
        stream.read([this](Result<ByteStream::Bytes> data) {
            if (!data) return void(error = data.error().message);
            if (data->empty()) return void(ended = true);
            got += textOf(*data);
            next();
        });
    }
    ByteStream& stream;
    std::string got;
    std::string error;
    bool ended = false;
};

}  // namespace

class TestTlsStream : public QObject {
    Q_OBJECT

private slots:
    void initTestCase()
    {
        std::filesystem::path folder = m_folder.path().toStdString();
        PemPair authority = *makeAuthority("ours");
        PemPair stranger = *makeAuthority("a stranger");
        PemPair server = *issueCertificate(authority, "server", TlsRole::Server,
                                           {"localhost", "127.0.0.1", "::1"});
        PemPair client = *issueCertificate(authority, "client", TlsRole::Client);
        PemPair alien = *issueCertificate(stranger, "alien", TlsRole::Client);
        m_server = *TlsContext::server(*writeCertificates(folder / "server", server, authority));
        m_client = *TlsContext::client(*writeCertificates(folder / "client", client, authority));
        m_alien = *TlsContext::client(*writeCertificates(folder / "alien", alien, authority));
        m_trusting = *TlsContext::client(*writeCertificates(folder / "trusting", client, stranger));
        m_serverAsClient =
            *TlsContext::client(*writeCertificates(folder / "role", server, authority));
        m_nobody = *TlsContext::client({.authority = folder / "server/ca.pem"});
    }

    void knowsItsServerByItsName_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<bool>("known");
        QTest::newRow("name") << "localhost" << true;
        QTest::newRow("IPv4") << "127.0.0.1" << true;
        QTest::newRow("IPv6") << "::1" << true;
        QTest::newRow("another name") << "example.org" << false;
        QTest::newRow("another address") << "127.0.0.2" << false;
    }
    void knowsItsServerByItsName()
    {
        QFETCH(QString, name);
        QFETCH(bool, known);
        Loop loop;
        Ends ends(loop, *m_server, *m_client, name.toStdString());
        QVERIFY(runUntil(loop, [&] { return !ends.client || ends.both(); }));
        QCOMPARE(ends.client.has_value(), known);
        if (known) return;
        QVERIFY2(ends.client.error().message.find("mismatch") != std::string::npos,
                 ends.client.error().message.c_str());
        QCOMPARE(ends.client.error().code, Code::Unauthenticated);
    }

    void doesNotTrustAStrangersServer()
    {
        Loop loop;
        Ends ends(loop, *m_server, *m_trusting, "localhost");
        QVERIFY(runUntil(loop, [&] { return !ends.client && !ends.server; }));
        QCOMPARE(ends.client.error().code, Code::Unauthenticated);
    }

    void letsNobodyInWithoutACertificateOfItsAuthority_data()
    {
        QTest::addColumn<int>("who");
        QTest::newRow("none") << 0;
        QTest::newRow("of another authority") << 1;
        QTest::newRow("of a server") << 2;
    }
    void letsNobodyInWithoutACertificateOfItsAuthority()
    {
        QFETCH(int, who);
        Loop loop;
        const TlsContext& client = who == 0 ? *m_nobody : who == 1 ? *m_alien : *m_serverAsClient;
        Ends ends(loop, *m_server, client, "localhost");
        QVERIFY(runUntil(loop, [&] { return !ends.server; }));
        QCOMPARE(ends.server.error().code, Code::Unauthenticated);
    }

    void carriesBytesBothWaysAtOnce()
    {
        Loop loop;
        Ends ends(loop, *m_server, *m_client, "localhost");
        QVERIFY(runUntil(loop, [&] { return ends.both(); }));
        std::string up(3'000'001, 'u');
        std::string down(2'000'003, 'd');
        Reader atServer(**ends.server);
        Reader atClient(**ends.client);
        int written = 0;
        (*ends.client)->write(bytesOf(up), [&](Result<> done) { written += done.has_value(); });
        (*ends.server)->write(bytesOf(down), [&](Result<> done) { written += done.has_value(); });
        QVERIFY(runUntil(loop, [&] {
            return written == 2 && atServer.got.size() == up.size() &&
                   atClient.got.size() == down.size();
        }));
        QVERIFY(atServer.got == up && atClient.got == down);
    }

    void anAnswerComesAfterTheEndOfTheQuestion()
    {
        Loop loop;
        Ends ends(loop, *m_server, *m_client, "localhost");
        QVERIFY(runUntil(loop, [&] { return ends.both(); }));
        Reader atServer(**ends.server);
        Reader atClient(**ends.client);
        (*ends.client)->write(bytesOf("ask"), [&](Result<>) { (*ends.client)->closeWrite(); });
        QVERIFY(runUntil(loop, [&] { return atServer.ended; }));
        QCOMPARE(atServer.got, std::string("ask"));
        QVERIFY(!atClient.ended);
        (*ends.server)->write(bytesOf("answer"), [&](Result<>) { (*ends.server)->closeWrite(); });
        QVERIFY(runUntil(loop, [&] { return atClient.ended; }));
        QCOMPARE(atClient.got, std::string("answer"));
    }

    void anEndWithoutAGoodbyeIsAnError()
    {
        Loop loop;
        Ends ends(loop, *m_server, *m_client, "localhost");
        QVERIFY(runUntil(loop, [&] { return ends.both(); }));
        Reader atClient(**ends.client);
        *ends.server = nullptr;
        QVERIFY(runUntil(loop, [&] { return !atClient.error.empty(); }));
        QVERIFY(!atClient.ended);
    }

    void aSilentServerIsGivenUpByLettingGo()
    {
        Loop loop;
        int fds[2];
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        Descriptor silent(fds[0]);
        bool called = false;
        auto shaking = startTls(loop, *adoptSocket(loop, Descriptor(fds[1])), *m_client,
                                "localhost", [&](Result<StreamPtr>) { called = true; });
        QVERIFY(!runUntil(
            loop, [&] { return called; }, std::chrono::milliseconds(50)));
        shaking.reset();
        silent.reset();
        QVERIFY(!runUntil(
            loop, [&] { return called; }, std::chrono::milliseconds(50)));
    }

    void namesTheFileThatIsNoCertificate()
    {
        std::filesystem::path file = m_folder.filePath("nonsense.pem").toStdString();
        write(file, "nonsense");
        auto made = TlsContext::client({.authority = file});
        QVERIFY(!made);
        QVERIFY2(made.error().message.find("nonsense.pem") != std::string::npos,
                 made.error().message.c_str());
        made = TlsContext::client({.authority = m_folder.filePath("none.pem").toStdString()});
        QVERIFY2(made.error().message.find("No such file") != std::string::npos,
                 made.error().message.c_str());
    }

private:
    QTemporaryDir m_folder;
    std::optional<TlsContext> m_server;
    std::optional<TlsContext> m_client;
    std::optional<TlsContext> m_alien;           // Certified by somebody else.
    std::optional<TlsContext> m_trusting;        // Trusts somebody else.
    std::optional<TlsContext> m_serverAsClient;  // Its certificate is for another role.
    std::optional<TlsContext> m_nobody;
};

QTEST_GUILESS_MAIN(TestTlsStream)
#include "tst_tls_stream.moc"
