// The engines and the switch between them, with stand-in engines on sockets of their own.
#include <fstream>
#include <iterator>
#include <list>

#include <QTemporaryDir>
#include <QtTest>

#include "tests/support/run_until.h"
#include "wsl-bridge/engines.h"
#include "wsl-bridge/engine/remote_engine.h"

using namespace slipway;
using slipway::test::runUntil;

namespace {

// Answers whatever it is asked with its name, over a unix socket.
class StandIn {
public:
    StandIn(Loop& loop, std::filesystem::path path, std::string name)
        : m_loop(loop), m_path(std::move(path)), m_name(std::move(name))
    {
        open();
    }
    void open()
    {
        m_listener = *listenUnix(m_loop, m_path, 0600, [this](StreamPtr stream) {
            serve(*m_clients.emplace_back(std::move(stream)));
        });
    }
    void close()
    {
        m_listener.reset();
        m_clients.clear();
    }
    std::string address() const { return "unix://" + m_path.string(); }
    DialEngine dial() { return engineAt(m_loop, *parseEngineAddress(address()), std::nullopt); }

private:
    void serve(ByteStream& client)
    {
        client.read([this, &client](Result<ByteStream::Bytes> data) {
            if (!data || data->empty()) return;
            m_answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(m_name.size()) +
                       "\r\n\r\n" + m_name;
            client.write(bytesOf(m_answer), [this, &client](Result<> written) {
                if (written) serve(client);
            });
        });
    }

    Loop& m_loop;
    std::filesystem::path m_path;
    std::string m_name;
    std::string m_answer;
    ListenerPtr m_listener;
    std::list<StreamPtr> m_clients;
};

struct Bench {
    QTemporaryDir dir;
    Loop loop;
    Home home{dir.path().toStdString()};
    StandIn machine{loop, home.root / "linux.sock", "linux"};
    StandIn windows{loop, home.root / "windows.sock", "windows"};
    std::unique_ptr<Engines> engines;
    int changes = 0;

    Bench() { begin(); }
    void begin()
    {
        engines.reset();
        engines = *Engines::listen(loop, {.home = home,
                                          .user = *invokingUser(),
                                          .grant = {},
                                          .setLiveRestore = {},
                                          .changed = [this] { ++changes; },
                                          .patience = std::chrono::milliseconds(600)});
        engines->machine().setAvailability({.dial = machine.dial()});
    }
    // The body of an answer over a connection of its own; "503" and the like if it is no 200.
    std::string ask(const std::filesystem::path& socket)
    {
        EngineClient client(loop, engineAt(loop, {.socket = socket}, std::nullopt));
        std::optional<Result<std::string>> got;
        auto question = client.get("/info", [&](Result<std::string> answer) { got = answer; });
        if (!runUntil(loop, [&] { return got.has_value(); })) return "silence";
        return *got ? **got : got->error().message;
    }
    std::string ask() { return ask(home.endpointSocket()); }
    Result<> use(EngineName engine)
    {
        std::optional<Result<>> done;
        engines->use(engine, [&](Result<> used) { done = used; });
        if (!runUntil(loop, [&] { return done.has_value(); }))
            return fail(Code::Internal, "never done");
        return *done;
    }
    Settings saved() { return peekSettings(home.settingsFile()); }
};

}  // namespace

class TestEngines : public QObject {
    Q_OBJECT

private slots:
    void leadsToTheMachineAtFirst()
    {
        Bench bench;
        QCOMPARE(bench.ask(), std::string("linux"));
        QVERIFY(!std::filesystem::exists(bench.home.windowsSocket()));
        auto used = bench.use(EngineName::Windows);
        QVERIFY(!used);
        QVERIFY2(used.error().message.find("slipway engine add windows") != std::string::npos,
                 used.error().message.c_str());
    }

    void switchesAndRemembers()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        QCOMPARE(bench.ask(), std::string("linux"));
        QVERIFY(bench.use(EngineName::Windows).has_value());
        QCOMPARE(bench.ask(), std::string("windows"));
        QCOMPARE(bench.ask(bench.home.linuxSocket()), std::string("linux"));
        QCOMPARE(bench.ask(bench.home.windowsSocket()), std::string("windows"));
        QCOMPARE(bench.saved().engine, EngineName::Windows);
        bench.begin();  // As after a crash.
        QVERIFY(bench.engines->configure(bench.saved()));
        QCOMPARE(bench.ask(), std::string("windows"));
        QVERIFY(bench.use(EngineName::Linux).has_value());
        QCOMPARE(bench.ask(), std::string("linux"));
        QCOMPARE(bench.saved().engine, EngineName::Linux);
    }

    void staysWhereItIsIfTheOtherDoesNotAnswer()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        bench.windows.close();
        auto used = bench.use(EngineName::Windows);
        QVERIFY(!used);
        QVERIFY2(used.error().message.starts_with(
                     "the windows engine does not answer, so the linux engine stays in use: "),
                 used.error().message.c_str());
        QCOMPARE(bench.ask(), std::string("linux"));
        QCOMPARE(bench.saved().engine, EngineName::Linux);
    }

    void waitsForOneThatIsAboutToAnswer()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        bench.windows.close();
        Timer later(bench.loop);
        later.after(std::chrono::milliseconds(100), [&] { bench.windows.open(); });
        QVERIFY(bench.use(EngineName::Windows).has_value());
        QCOMPARE(bench.ask(), std::string("windows"));
    }

    void staysWhereItIsIfTheChoiceCantBeKept()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        std::ofstream(bench.home.settingsFile()) << "{";
        auto used = bench.use(EngineName::Windows);
        QVERIFY(!used);
        QVERIFY2(used.error().message.find("settings.json, line 1") != std::string::npos,
                 used.error().message.c_str());
        QCOMPARE(bench.ask(), std::string("linux"));
    }

    void carriesOutOneSwitchAtATime()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        std::optional<Result<>> first;
        bench.engines->use(EngineName::Windows, [&](Result<> used) { first = used; });
        auto second = bench.use(EngineName::Linux);
        QVERIFY(!second);
        QCOMPARE(second.error().code, Code::Aborted);
        QVERIFY(runUntil(bench.loop, [&] { return first.has_value(); }));
        QVERIFY(first->has_value());
    }

    void removesOnlyWhatIsNotInUse()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        QVERIFY(bench.use(EngineName::Windows).has_value());
        auto removed = bench.engines->setWindows(std::nullopt);
        QVERIFY(!removed);
        QCOMPARE(removed.error().code, Code::FailedPrecondition);
        QVERIFY(bench.use(EngineName::Linux).has_value());
        QVERIFY(bench.engines->setWindows(std::nullopt).has_value());
        QVERIFY(!std::filesystem::exists(bench.home.windowsSocket()));
        QVERIFY(!bench.saved().windows);
    }

    void refusesAnAddressThatIsNone()
    {
        Bench bench;
        auto set = bench.engines->setWindows(WindowsEngine{"ssh://me@host", {}});
        QVERIFY(!set);
        QVERIFY(!bench.saved().windows);
        auto certificates = bench.engines->setWindows(WindowsEngine{"w:2376", "/nonexistent"});
        QVERIFY(!certificates);
        QVERIFY2(certificates.error().message.find("/nonexistent/ca.pem") != std::string::npos,
                 certificates.error().message.c_str());
    }

    void oneThatCantBeHadIsNotReplacedByTheOther()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        QVERIFY(bench.use(EngineName::Windows).has_value());
        bench.begin();
        Settings settings = bench.saved();
        settings.windows->tlsDir = "/nonexistent";
        auto configured = bench.engines->configure(settings);
        QVERIFY(!configured);
        std::string told = bench.ask();
        QVERIFY2(told.find("503") != std::string::npos &&
                     told.find("/nonexistent/ca.pem") != std::string::npos &&
                     told.find("slipway engine use linux") != std::string::npos,
                 told.c_str());
        QVERIFY(bench.engines->reach().trouble.find("/nonexistent") != std::string::npos);
        QVERIFY(bench.use(EngineName::Linux).has_value());
        QCOMPARE(bench.ask(), std::string("linux"));
    }

    void anotherAddressHoldsFromTheNextRequest()
    {
        Bench bench;
        StandIn third(bench.loop, bench.home.root / "third.sock", "third");
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        QVERIFY(bench.use(EngineName::Windows).has_value());
        QCOMPARE(bench.ask(), std::string("windows"));
        QVERIFY(bench.engines->setWindows(WindowsEngine{third.address(), {}}));
        QCOMPARE(bench.ask(), std::string("third"));
        QCOMPARE(bench.ask(bench.home.windowsSocket()), std::string("third"));
    }

    void saysWhatTheOtherEngineIsAndWhatIsWrongWithIt()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        bench.windows.close();
        bool looked = false;
        bench.engines->look([&] { looked = true; });
        QVERIFY(runUntil(bench.loop, [&] { return looked; }));
        QVERIFY(!bench.engines->reach().trouble.empty());
    }

    // `slipway engine add` while the engine before it is being looked at.
    void whoeverLooksIsToldAlsoIfTheEngineIsReplaced()
    {
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.windows.address(), {}}));
        int looked = 0;
        bench.engines->look([&] { ++looked; });
        QVERIFY(bench.engines->setWindows(WindowsEngine{bench.machine.address(), {}}));
        QVERIFY(runUntil(bench.loop, [&] { return looked == 1; }));
        bench.engines->look([&] { ++looked; });
        bench.engines->look([&] { ++looked; });
        QVERIFY(runUntil(bench.loop, [&] { return looked == 3; }));
    }

    void knowsWhatIsInTheOpen_data()
    {
        QTest::addColumn<QString>("host");
        QTest::addColumn<bool>("open");
        QTest::newRow("plain") << "tcp://10.0.0.5:2375" << true;
        QTest::newRow("TLS by its port") << "tcp://10.0.0.5:2376" << false;
        QTest::newRow("this host") << "127.0.0.1:2375" << false;
        QTest::newRow("this host's name") << "localhost:2375" << false;
        QTest::newRow("unix") << "unix:///run/docker.sock" << false;
    }
    void knowsWhatIsInTheOpen()
    {
        QFETCH(QString, host);
        QFETCH(bool, open);
        Bench bench;
        QVERIFY(bench.engines->setWindows(WindowsEngine{host.toStdString(), {}}));
        QCOMPARE(bench.engines->windowsIsInTheOpen(), open);
    }
};

QTEST_GUILESS_MAIN(TestEngines)
#include "tst_engines.moc"
