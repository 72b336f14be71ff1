// The endpoint on its socket, and the bridge's own questions to the engine.
#include <algorithm>
#include <fstream>

#include <QtTest>

#include <sys/stat.h>

#include "tests/support/run_until.h"
#include "tests/support/wire.h"
#include "wsl-bridge/engine/endpoint.h"
#include "wsl-bridge/engine/host_folder.h"
#include "wsl-bridge/engine/machine_engine.h"

using namespace slipway;
using namespace slipway::test;

namespace {

std::string answer(const std::string& body)
{
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Easier to read with ' for ".
std::string json(std::string text)
{
    std::replace(text.begin(), text.end(), '\'', '"');
    return text;
}

struct Bench {
    QTemporaryDir dir;
    Loop loop;
    WireDialer dialer{loop};
    ProxyOptions options;
    std::filesystem::path socket;
    std::unique_ptr<MachineEngine> engine;
    std::unique_ptr<Endpoint> endpoint;

    Bench()
    {
        options.user = *invokingUser();
        socket = dir.filePath("docker.sock").toStdString();
        options.endpointSockets = {socket};
        options.recordsDir = dir.filePath("records").toStdString();
        options.wait = std::chrono::milliseconds(100);
    }
    bool listen()
    {
        engine = std::make_unique<MachineEngine>(loop, options);
        auto made = Endpoint::listen(loop, socket, [this] { return engine->context(); });
        if (made) endpoint = std::move(*made);
        return made.has_value();
    }
    // The engine's answer to the next question; false if none came.
    bool reply(const std::string& target, const std::string& body)
    {
        std::size_t before = m_answered;
        bool asked = runUntil(loop, [&] {
            return dialer.wires.size() > before &&
                   dialer.wires.back().poll().got.starts_with("GET " + target + " ");
        });
        m_answered = dialer.wires.size();
        return asked && dialer.wires.back().send(answer(body));
    }

private:
    std::size_t m_answered = 0;
};

}  // namespace

class TestEndpoint : public QObject {
    Q_OBJECT

private slots:
    void listensForItsUserAlone()
    {
        Bench bench;
        {
            std::ofstream stale(bench.socket);
        }
        QVERIFY(bench.listen());
        struct stat facts {};
        QCOMPARE(::stat(bench.socket.c_str(), &facts), 0);
        QCOMPARE(facts.st_mode & 07777, mode_t{0600});
        QVERIFY(S_ISSOCK(facts.st_mode));
        QCOMPARE(facts.st_uid, bench.options.user.uid);
    }

    void servesManyClients()
    {
        Bench bench;
        QVERIFY(bench.listen());
        bench.engine->setAvailability({.reason = "stopped"});
        std::list<std::unique_ptr<Connecting>> connecting;
        std::list<StreamPtr> clients;
        std::string all;
        constexpr std::size_t kClients = 20;
        std::string request = "GET /info HTTP/1.1\r\nHost: d\r\n\r\n";
        std::size_t answers = 0;
        for (std::size_t i = 0; i < kClients; ++i)
            connecting.push_back(
                connectUnix(bench.loop, bench.socket, [&](Result<StreamPtr> stream) {
                    if (!stream) return;
                    ByteStream& client = *clients.emplace_back(std::move(*stream));
                    client.write(bytesOf(request), [&](Result<>) {
                        client.read([&](Result<ByteStream::Bytes> data) {
                            if (data && textOf(*data).starts_with("HTTP/1.1 503")) ++answers;
                        });
                    });
                }));
        QVERIFY(runUntil(bench.loop, [&] { return answers == kClients; }));
    }

    void asksTheEngine()
    {
        Bench bench;
        EngineClient client(bench.loop, engineBehind(bench.dialer));
        std::optional<EngineClient::Version> version;
        auto first = client.version([&](Result<EngineClient::Version> got) { version = *got; });
        QVERIFY(bench.reply("/version", json("{'Version':'26.1.5','ApiVersion':'1.45'}")));
        QVERIFY(runUntil(bench.loop, [&] { return version.has_value(); }));
        QCOMPARE(version->engine, std::string("26.1.5"));
        QCOMPARE(version->api, std::string("1.45"));
        std::optional<Result<std::chrono::microseconds>> pinged;
        auto second = client.ping([&](Result<std::chrono::microseconds> took) { pinged = took; });
        QVERIFY(bench.reply("/_ping", "OK"));
        QVERIFY(runUntil(bench.loop, [&] { return pinged.has_value(); }));
        QVERIFY(pinged->has_value() && pinged->value().count() > 0);
    }

    void givesUpOnASilentEngine()
    {
        Bench bench;
        EngineClient client(bench.loop, engineBehind(bench.dialer));
        std::optional<Result<std::string>> got;
        auto question = client.get(
            "/x", [&](Result<std::string> a) { got = std::move(a); },
            std::chrono::milliseconds(20));
        QVERIFY(runUntil(bench.loop, [&] { return got.has_value(); }));
        QCOMPARE(got->error().code, Code::DeadlineExceeded);
    }

    void knowsContainersAndFolders()
    {
        Bench bench;
        {
            BindRecords records(bench.options.recordsDir);
            QVERIFY(records.put("aa", {{"/d", "/mnt/host/real", "/home/ann/link"}}).has_value());
            QVERIFY(records.put("gone", {{"/d", "/mnt/host/x", "/x"}}).has_value());
            QVERIFY(!records.put("../x", {}).has_value());
        }
        std::ofstream(bench.options.recordsDir / "bad.json") << "{";
        QVERIFY(bench.listen());
        bench.engine->setAvailability({.dial = engineBehind(bench.dialer)});
        std::string list = json(
            "[{'Id':'aa','Names':['/web/alias','/"
            "web'],'State':'running','Labels':{'io.slipway.proxy-protocol':'80'},'Ports':[{'"
            "PublicPort':8080,'Type':'tcp'},{'PublicPort':53,'"
            "Type':'udp'},{'PrivatePort':1,'Type':'tcp'}],'Mounts':[{'Type':'bind',"
            "'Source':'/mnt/host/real','Destination':'/"
            "d'}],'NetworkSettings':{'Networks':{'bridge':{"
            "'IPAddress':'172.17.0.2'}}}},{'Id':'bb','Names':['/old'],'State':'exited'}]");
        QVERIFY(bench.reply("/containers/json?all=1", list));
        Containers& containers = bench.engine->containers();
        QVERIFY(runUntil(bench.loop, [&] { return containers.all().size() == 2; }));
        QCOMPARE(containers.running(), std::size_t{1});
        QCOMPARE(containers.nameOnPort(8080), std::string("web"));
        QCOMPARE(containers.nameOnPort(53), std::string());
        QCOMPARE(containers.folders().at("/home/ann/link"), std::vector<std::string>{"web"});
        std::optional<std::string> name;
        containers.find("172.17.0.2", [&](const ContainerSeen* found) {
            name = found ? found->name + " " + found->proxyProtocol : "none";
        });
        QVERIFY(bench.reply("/containers/json?all=1", list));
        QVERIFY(runUntil(bench.loop, [&] { return name.has_value(); }));
        QCOMPARE(*name, std::string("web 80"));
        QVERIFY(!std::filesystem::exists(bench.options.recordsDir / "gone.json"));
        QVERIFY(!std::filesystem::exists(bench.options.recordsDir / "bad.json"));
        QVERIFY(std::filesystem::exists(bench.options.recordsDir / "aa.json"));
        bench.engine->setAvailability({.reason = "stopped"});
        QVERIFY(runUntil(bench.loop, [&] { return containers.all().empty(); }));
        QVERIFY(std::filesystem::exists(bench.options.recordsDir / "aa.json"));
    }

    void forgetsServicesAndVolumesThatAreGone()
    {
        Bench bench;
        {
            Records records(bench.options.recordsDir);
            for (BindRecords* some : {&records.services, &records.volumes})
                for (const char* id : {"kept", "gone"})
                    QVERIFY(some->put(id, {{"/d", "/mnt/host/x", "/x"}}).has_value());
        }
        auto kept = [&](const char* kind, const char* id) {
            return std::filesystem::exists(bench.options.recordsDir / kind /
                                           (std::string(id) + ".json"));
        };
        QVERIFY(bench.listen());
        bench.engine->setAvailability({.dial = engineBehind(bench.dialer)});
        auto answered = [&](const std::string& target, const std::string& body) {
            return runUntil(bench.loop, [&] {
                for (Wire& wire : bench.dialer.wires)
                    if (wire.poll().got.starts_with("GET " + target + " "))
                        return wire.send(answer(body));
                return false;
            });
        };
        QVERIFY(answered("/volumes", json("{'Volumes':[{'Name':'kept'}],'Warnings':null}")));
        QVERIFY(runUntil(bench.loop, [&] { return !kept("volumes", "gone"); }));
        QVERIFY(kept("volumes", "kept"));
        QVERIFY(answered("/services", json("[{'ID':'kept'}]")));
        QVERIFY(runUntil(bench.loop, [&] { return !kept("services", "gone"); }));
        QVERIFY(kept("services", "kept"));
    }

    void actsAsItsUser()
    {
        if (::geteuid() != 0) QSKIP("needs root to act for somebody else; run the tests as root");
        Bench bench;
        User nobody{65534, 65534, "nobody", "/nonexistent"};
        std::string base = std::filesystem::canonical(bench.dir.path().toStdString()).string();
        std::filesystem::permissions(base, std::filesystem::perms(0755));
        std::filesystem::create_directory(base + "/secret");
        std::filesystem::permissions(base + "/secret", std::filesystem::perms(0700));
        std::filesystem::create_directory(base + "/open");
        std::filesystem::permissions(base + "/open", std::filesystem::perms(0777));
        auto secret = findHostFolder(base + "/secret", Missing::Refuse, nobody);
        QVERIFY(!secret.has_value());
        QCOMPARE(secret.error().code, Code::PermissionDenied);
        QVERIFY(!findHostFolder(base + "/new", Missing::Create, nobody).has_value());
        QVERIFY(findHostFolder(base + "/open/a/b", Missing::Create, nobody).has_value());
        struct stat facts {};
        QCOMPARE(::stat((base + "/open/a/b").c_str(), &facts), 0);
        QCOMPARE(facts.st_uid, uid_t{65534});
        QVERIFY(findHostFolder(base + "/secret", Missing::Refuse, *invokingUser()).has_value());
        auto left = findHostFolder(base + "/open/../none", Missing::Leave, nobody);
        QCOMPARE(left->string(), base + "/none");
        QVERIFY(!std::filesystem::exists(*left));
        QVERIFY(!findHostFolder(base + "/secret/none", Missing::Leave, nobody).has_value());
    }

    void restoresLiveRestoreOutsideOfASwarm_data()
    {
        QTest::addColumn<QString>("state");
        QTest::addColumn<bool>("restored");
        QTest::newRow("left") << "inactive" << true;
        QTest::newRow("in a swarm") << "active" << false;
    }
    void restoresLiveRestoreOutsideOfASwarm()
    {
        QFETCH(QString, state);
        QFETCH(bool, restored);
        Bench bench;
        std::vector<bool> calls;
        bench.options.setLiveRestore = [&](bool enabled, ProxyOptions::Done done) {
            calls.push_back(enabled);
            done({});
        };
        QVERIFY(bench.listen());
        bench.engine->setAvailability({.dial = engineBehind(bench.dialer)});
        QVERIFY(bench.reply("/containers/json?all=1", "[]"));
        WirePair pair = wirePair();
        Wire client(std::move(pair.test));
        bench.endpoint->serve(*adoptSocket(bench.loop, std::move(pair.program)));
        QVERIFY(client.send("POST /swarm/leave HTTP/1.1\r\nHost: d\r\n\r\n"));
        QVERIFY(runUntil(bench.loop, [&] {
            return bench.dialer.wires.back().poll().got.starts_with("POST /swarm/leave");
        }));
        QVERIFY(bench.dialer.wires.back().send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        QVERIFY(runUntil(bench.loop, [&] {
            return bench.dialer.wires.back().poll().got.starts_with("GET /info ");
        }));
        QVERIFY(bench.dialer.wires.back().send(
            answer(json("{'Swarm':{'LocalNodeState':'" + state.toStdString() + "'}}"))));
        QVERIFY(runUntil(bench.loop, [&] { return bench.dialer.wires.back().poll().ended; }));
        QCOMPARE(calls, restored ? std::vector<bool>{true} : std::vector<bool>{});
    }
};

QTEST_APPLESS_MAIN(TestEndpoint)
#include "tst_endpoint.moc"
