// Linux and Windows containers: the switch between the machine's engine and another one, for which
// a second dockerd stands in, behind TLS and clients' certificates.
#include <QtTest>
#include <fmt/format.h>

#include "shared/tls/certificates.h"
#include "tests/support/other_engine.h"
#include "tests/support/own_host.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class TestModes : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::unique_ptr<OtherEngine> m_windows;
    int m_port = 0;

    std::string address() const { return fmt::format("tcp://127.0.0.1:{}", m_port); }
    std::string tls() const { return "/run/certs/client"; }

    void startWindows()
    {
        m_windows = std::make_unique<OtherEngine>(
            fmt::format("-H {} --tlsverify --tlscacert /run/certs/server/ca.pem --tlscert "
                        "/run/certs/server/cert.pem --tlskey /run/certs/server/key.pem",
                        address()));
    }
    // Which engine a context leads to, told by the one image that each has.
    std::string imageAt(const std::string& context)
    {
        return m_slipway
            ->shell("docker --context " + context + " image ls --format '{{.Repository}}'")
            .out;
    }
    std::string name() const { return m_slipway->home().instanceName(); }
    Output use(const std::string& engine) { return m_slipway->slipway({"engine", "use", engine}); }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
        auto entered = enterOwnHost();
        QVERIFY2(entered, entered ? "" : entered.error().message.c_str());
        m_port = freePort();
        PemPair authority = *makeAuthority("theirs");
        QVERIFY(writeCertificates(
                    "/run/certs/server",
                    *issueCertificate(authority, "engine", TlsRole::Server, {"127.0.0.1"}),
                    authority)
                    .has_value());
        QVERIFY(writeCertificates("/run/certs/client",
                                  *issueCertificate(authority, "ann", TlsRole::Client), authority)
                    .has_value());
        PemPair stranger = *makeAuthority("nobody's");
        QVERIFY(writeCertificates("/run/certs/stranger",
                                  *issueCertificate(stranger, "eve", TlsRole::Client), authority)
                    .has_value());
        startWindows();
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        std::string theirs = "docker -H unix:///run/docker.sock ";
        QVERIFY2(
            eventually([&] { return m_slipway->shell(theirs + "version").exitCode == 0; }, 30s),
            m_windows->log().c_str());
        QCOMPARE(
            m_slipway->shell("tar -C / -c bin/busybox | " + theirs + "import - theirs").exitCode,
            0);
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
    }
    void cleanupTestCase()
    {
        m_slipway.reset();
        m_windows.reset();
    }

    void namesWhatIsMissing()
    {
        Output used = use("windows");
        QCOMPARE(used.exitCode, 1);
        QVERIFY2(has(used.err, "slipway engine add windows"), used.err.c_str());
        Output wrong = m_slipway->slipway({"engine", "add", "windows", "ssh://host"});
        QCOMPARE(wrong.exitCode, 1);
        QVERIFY2(has(wrong.err, "\"ssh://host\" is no engine's address"), wrong.err.c_str());
        Output list = m_slipway->slipway({"engine", "list"});
        QVERIFY2(has(list.out, "* linux, Docker 26.1.5"), list.out.c_str());
    }

    void anEngineThatDoesNotTrustUsIsNotUsed()
    {
        QCOMPARE(
            m_slipway
                ->slipway({"engine", "add", "windows", address(), "--tls", "/run/certs/stranger"})
                .exitCode,
            0);
        Output used = use("windows");
        QCOMPARE(used.exitCode, 1);
        QVERIFY2(has(used.err, "the linux engine stays in use"), used.err.c_str());
        QCOMPARE(imageAt(name()), std::string("box\n"));
    }

    void isAddedWithItsCertificates()
    {
        Output added = m_slipway->slipway({"engine", "add", "windows", address(), "--tls", tls()});
        QVERIFY2(added.exitCode == 0, added.err.c_str());
        QVERIFY2(has(added.out, " at " + address() + " with TLS"), added.out.c_str());
        QCOMPARE(imageAt(name()), std::string("box\n"));
        QCOMPARE(imageAt(name() + "-linux"), std::string("box\n"));
        QCOMPARE(imageAt(name() + "-windows"), std::string("theirs\n"));
    }

    void whatRunsStaysAndWhatComesGoesToTheOther()
    {
        int port = freePort();
        QCOMPARE(
            m_slipway
                ->docker({"run", "-d", "--name", "web", "-p", fmt::format("127.0.0.1:{}:80", port),
                          "box", "sh", "-c", serving("linux")})
                .exitCode,
            0);
        // A stream that begins before the switch and goes on after it.
        Output talked = m_slipway->shell(
            fmt::format("mkfifo in\n"
                        "docker --context {0} exec -i web cat <in >out & \n"
                        "exec 3>in; echo before >&3; until grep -q before out; do sleep .05; done\n"
                        "\"$SLIPWAY_BIN/slipway\" engine use windows\n"
                        "docker --context {0} image ls --format '{{{{.Repository}}}}'\n"
                        "echo after >&3; until grep -q after out; do sleep .05; done\n"
                        "exec 3>&-; wait; cat out",
                        name()));
        QCOMPARE(QString::fromStdString(talked.out),
                 QString("in use: windows; what runs already stays where it is\n"
                         "theirs\nbefore\nafter\n"));
        QVERIFY(serves(port, "linux"));
        QCOMPARE(imageAt(name() + "-linux"), std::string("box\n"));
        QVERIFY(m_slipway->status(0));
        Output status = m_slipway->slipway({"engine", "status"});
        QCOMPARE(status.exitCode, 0);
        QVERIFY2(status.out.starts_with("windows, Docker 26.1.5"), status.out.c_str());
        // Paths are the engine's own there: nothing is made or resolved here.
        Output bound = m_slipway->shell(
            fmt::format("docker --context {} run --rm -v /run/theirs-own:/x theirs /bin/busybox ls "
                        "-d /x && test -d /run/theirs-own",
                        name()));
        QVERIFY2(bound.exitCode == 0, bound.err.c_str());
    }

    void aKilledBridgeRemembers()
    {
        QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
        QVERIFY(m_slipway->start());
        QCOMPARE(imageAt(name()), std::string("theirs\n"));
        QCOMPARE(imageAt(name() + "-linux"), std::string("box\n"));
    }

    void itsAbsenceIsTold()
    {
        m_windows.reset();
        Output status = m_slipway->slipway({"status"});
        QCOMPARE(status.exitCode, 4);
        QVERIFY2(has(status.out, "the Windows engine is in use and does not answer"),
                 status.out.c_str());
        QVERIFY2(has(status.out, "slipway engine use linux"), status.out.c_str());
        QCOMPARE(m_slipway->slipway({"engine", "status"}).exitCode, 5);
        QCOMPARE(m_slipway->slipway({"engine", "remove", "windows"}).exitCode, 1);
        QCOMPARE(use("linux").exitCode, 0);
        QCOMPARE(imageAt(name()), std::string("box\n"));
        Output used = use("windows");
        QCOMPARE(used.exitCode, 1);
        QVERIFY2(has(used.err, "the windows engine does not answer, so the linux engine stays") &&
                     has(used.err, "connection refused"),
                 used.err.c_str());
        QVERIFY(m_slipway->status(0));
    }

    void imagesForWindowsGetAHint()
    {
        Output run = m_slipway->docker(
            {"run", "--rm", "--pull", "never", "--platform", "windows/amd64", "box"});
        QVERIFY(run.exitCode != 0);
        QVERIFY2(has(run.err, "slipway engine use windows"), run.err.c_str());
    }

    void aStoppedMachineIsStartedForLinux()
    {
        startWindows();
        QVERIFY(eventually([&] { return use("windows").exitCode == 0; }, 30s));
        QCOMPARE(m_slipway->slipway({"stop"}).exitCode, 0);
        QVERIFY(m_slipway->shell("unset DOCKER_CONTEXT; docker context ls -q").out == "default\n");
        // The Windows engine needs no machine.
        Output used = use("windows");
        QVERIFY2(used.exitCode == 0, used.err.c_str());
        QCOMPARE(imageAt(name()), std::string("theirs\n"));
        QCOMPARE(use("linux").exitCode, 0);
        QCOMPARE(imageAt(name()), std::string("box\n"));
        QVERIFY(m_slipway->status(0));
    }

    // docker's own TLS is the client here.
    void listensOnTcpForThoseWithACertificate()
    {
        int port = freePort();
        std::string chosen = "--port " + std::to_string(port);
        std::string tcp = fmt::format("tcp://127.0.0.1:{}", port);
        auto cli = [&](const std::string& words) {
            return m_slipway->shell("\"$SLIPWAY_BIN/slipway\" endpoint " + words);
        };
        QCOMPARE(cli("certificates /run/bundle").exitCode, 1);
        Output opened = cli("tcp tls " + chosen);
        QVERIFY2(opened.exitCode == 0 && has(opened.out, tcp), opened.err.c_str());
        QCOMPARE(cli("certificates /run/bundle").exitCode, 0);
        std::string docker = "env --unset DOCKER_CONTEXT docker -H " + tcp + " ";
        std::string list = "image ls --format '{{.Repository}}'";
        Output good = m_slipway->shell("export DOCKER_CERT_PATH=/run/bundle; " + docker +
                                       "--tlsverify " + list);
        QVERIFY2(good.exitCode == 0, good.err.c_str());
        QCOMPARE(good.out, std::string("box\n"));
        Output io =
            m_slipway->shell("export DOCKER_CERT_PATH=/run/bundle; head -c 3000000 /dev/zero | " +
                             docker + "--tlsverify run --rm -i box sh -c 'cat; echo end' | wc -c");
        QCOMPARE(io.out, std::string("3000004\n"));
        QVERIFY(m_slipway->shell(docker + list).exitCode != 0);
        QVERIFY(
            m_slipway
                ->shell("export DOCKER_CERT_PATH=/run/certs/client; " + docker + "--tls " + list)
                .exitCode != 0);
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QCOMPARE(
            m_slipway
                ->shell("export DOCKER_CERT_PATH=/run/bundle; " + docker + "--tlsverify " + list)
                .out,
            std::string("box\n"));
        QVERIFY(m_slipway->status(0));

        Output open = cli("tcp plain --address 0.0.0.0 " + chosen);
        QCOMPARE(open.exitCode, 1);
        QVERIFY2(has(open.err, "would let other hosts command the engine"), open.err.c_str());
        QCOMPARE(
            m_slipway
                ->shell("export DOCKER_CERT_PATH=/run/bundle; " + docker + "--tlsverify " + list)
                .exitCode,
            0);
        QCOMPARE(cli("tcp plain " + chosen).exitCode, 0);
        QCOMPARE(m_slipway->shell(docker + list).out, std::string("box\n"));
        QVERIFY2(has(m_slipway->slipway({"status"}).out, "has no TLS"), "no warning");
        QCOMPARE(cli("tcp off").exitCode, 0);
        QVERIFY(m_slipway->shell(docker + list).exitCode != 0);
        QVERIFY(!has(m_slipway->slipway({"status"}).out, tcp));
    }

    void isForgotten()
    {
        QCOMPARE(m_slipway->slipway({"engine", "remove", "windows"}).exitCode, 0);
        QCOMPARE(m_slipway->shell("unset DOCKER_CONTEXT; docker context ls -q").out,
                 fmt::format("default\n{0}\n{0}-linux\n", name()));
        QVERIFY(!has(m_slipway->slipway({"engine", "list"}).out, "windows, "));
        QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
    }
};

QTEST_GUILESS_MAIN(TestModes)
#include "tst_modes.moc"
