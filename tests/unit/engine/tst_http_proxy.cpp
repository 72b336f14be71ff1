// The proxy between a raw client and a raw engine: framing, order, upgrades, ends and refusals.
#include <algorithm>

#include <fmt/format.h>
#include <QtTest>

#include "tests/support/run_until.h"
#include "tests/support/wire.h"
#include "wsl-bridge/engine/http_proxy.h"
#include "wsl-bridge/engine/port_conflict.h"

using namespace slipway;
using namespace slipway::test;

namespace {

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

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
    std::shared_ptr<ProxyContext> engineInUse;
    ProxyContext& context;
    std::unique_ptr<Wire> client;
    std::unique_ptr<HttpProxy> proxy;
    bool ended = false;

    Bench()
        : engineInUse(std::make_shared<ProxyContext>(
              loop, ProxyOptions{.recordsDir = dir.filePath("records").toStdString()})),
          context(*engineInUse)
    {
        context.options.user = *invokingUser();
        context.options.endpointSockets = {"/home/ann/.slipway/docker.sock"};
        context.options.wait = std::chrono::milliseconds(300);
        context.engine.set({.dial = engineBehind(dialer)});
        connect();
    }
    void connect()
    {
        ended = false;
        WirePair pair = wirePair();
        client = std::make_unique<Wire>(std::move(pair.test));
        proxy = std::make_unique<HttpProxy>([this] { return engineInUse; },
                                            *adoptSocket(loop, std::move(pair.program)),
                                            [this] {
                                                ended = true;
                                                proxy.reset();
                                            });
        proxy->start();
    }
    bool until(const std::function<bool()>& condition) { return runUntil(loop, condition); }
    Wire& engine() { return dialer.wires.back(); }
    bool engineGets(const std::string& text)
    {
        return until([&] { return !dialer.wires.empty() && engine().poll().got == text; });
    }
    bool clientGets(const std::string& text)
    {
        return until([&] { return client->poll().got == text; });
    }
};

std::string get(const std::string& target, const std::string& fields = "")
{
    return "GET " + target + " HTTP/1.1\r\nHost: d\r\n" + fields + "\r\n";
}

std::string post(const std::string& target, const std::string& body)
{
    return "POST " + target +
           " HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string answer(const std::string& status, const std::string& body)
{
    return "HTTP/1.1 " + status +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

}  // namespace

class TestHttpProxy : public QObject {
    Q_OBJECT

private slots:
    void relaysRequestsCutAnywhere()
    {
        std::string head = "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n";
        std::string request = head + "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        std::string reply =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e=1\r\nhi\r\n0\r\nT: u\r\n\r\n";
        for (std::size_t cut = 1; cut < request.size(); ++cut) {
            Bench bench;
            QVERIFY(bench.client->send(std::string_view(request).substr(0, cut)));
            bool headSeen = cut >= head.size();
            QVERIFY(bench.until([&] {
                return headSeen
                           ? !bench.dialer.wires.empty() && bench.engine().poll().got.size() == cut
                           : uv_run(bench.loop.uv(), UV_RUN_NOWAIT) == 0 || true;
            }));
            QVERIFY(bench.client->send(std::string_view(request).substr(cut)));
            QVERIFY(bench.engineGets(request));
            std::string_view rest = reply;
            std::size_t answerCut = 1 + cut % (reply.size() - 1);
            QVERIFY(bench.engine().send(rest.substr(0, answerCut)));
            QVERIFY(bench.engine().send(rest.substr(answerCut)));
            QVERIFY(bench.clientGets(reply));
        }
    }

    void answersPipelinedRequestsInOrderOverOneConnection()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/a") + post("/b", "body") + get("/c")));
        QVERIFY(bench.engineGets(get("/a")));
        bench.engine().take();
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.engineGets(post("/b", "body")));
        bench.engine().take();
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.engineGets(get("/c")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(std::string(kOk) + kOk + kOk));
        QCOMPARE(bench.dialer.wires.size(), std::size_t{1});
        bench.client->close();
        QVERIFY(bench.until([&] { return bench.ended; }));
    }

    void knowsAnswersWithoutABody()
    {
        Bench bench;
        std::string head = "HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
        std::string none = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        QVERIFY(bench.client->send(head + post("/start", "") + get("/next")));
        QVERIFY(bench.engineGets(head));
        QVERIFY(bench.engine().send(none));
        QVERIFY(bench.engineGets(head + post("/start", "")));
        QVERIFY(bench.engine().send("HTTP/1.1 204 No Content\r\n\r\n"));
        QVERIFY(bench.engineGets(head + post("/start", "") + get("/next")));
        QVERIFY(bench.engine().send("HTTP/1.1 304 Not Modified\r\n\r\n"));
        QVERIFY(bench.clientGets(none + "HTTP/1.1 204 No Content\r\n\r\n" +
                                 "HTTP/1.1 304 Not Modified\r\n\r\n"));
        QVERIFY(!bench.ended);
    }

    void goesRawAfterAnUpgradeWithHalfClose()
    {
        Bench bench;
        std::string request =
            "POST /attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        QVERIFY(bench.client->send(request + "early"));
        QVERIFY(bench.engineGets(request));
        std::string upgrade =
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        QVERIFY(bench.engine().send(upgrade + "first"));
        QVERIFY(bench.clientGets(upgrade + "first"));
        QVERIFY(bench.engineGets(request + "early"));
        QVERIFY(bench.client->send("GET / not http"));
        bench.client->closeWrite();
        QVERIFY(bench.until([&] { return bench.engine().poll().ended; }));
        QCOMPARE(bench.engine().got, request + "early" + "GET / not http");
        QVERIFY(bench.engine().send("later"));
        QVERIFY(bench.clientGets(upgrade + "firstlater"));
        QVERIFY(!bench.ended);
        bench.engine().close();
        QVERIFY(bench.until([&] { return bench.ended && bench.client->poll().ended; }));
    }

    void sendsAnUpgradesBodyWithItsHead()
    {
        Bench bench;
        std::string head =
            "POST /containers/x/attach?stdin=1 HTTP/1.1\r\nHost: d\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\n";
        QVERIFY(bench.client->send(head));
        runUntil(
            bench.loop, [] { return false; }, std::chrono::milliseconds(20));
        QVERIFY(bench.dialer.wires.empty());
        QVERIFY(bench.client->send("body"));
        QVERIFY(bench.until(
            [&] { return !bench.dialer.wires.empty() && bench.engine().poll().got != ""; }));
        QCOMPARE(bench.engine().got, head + "body");
        bench.engine().take();
        QVERIFY(bench.engine().send("HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n"));
        QVERIFY(bench.client->send("input"));
        QVERIFY(bench.engineGets("input"));
    }

    void goesRawWhereTheAnswerEndsWithTheConnection()
    {
        Bench bench;
        QVERIFY(bench.client->send(post("/exec/1/start", "{}")));
        QVERIFY(bench.engineGets(post("/exec/1/start", "{}")));
        std::string raw =
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
        QVERIFY(bench.engine().send(raw));
        QVERIFY(bench.clientGets(raw));
        QVERIFY(bench.client->send("input"));
        QVERIFY(bench.engineGets(post("/exec/1/start", "{}") + "input"));
        QVERIFY(bench.engine().send("output"));
        QVERIFY(bench.clientGets(raw + "output"));
    }

    void passesContinueOn()
    {
        Bench bench;
        std::string head =
            "PUT /x HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        QVERIFY(bench.client->send(head));
        QVERIFY(bench.engineGets(head));
        QVERIFY(bench.engine().send("HTTP/1.1 100 Continue\r\n\r\n"));
        QVERIFY(bench.clientGets("HTTP/1.1 100 Continue\r\n\r\n"));
        QVERIFY(bench.client->send("hi"));
        QVERIFY(bench.engineGets(head + "hi"));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with(kOk); }));
    }

    void saysContinueWhereItHoldsTheBody()
    {
        Bench bench;
        QVERIFY(bench.client->send(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n"
            "Content-Length: 2\r\n\r\n"));
        QVERIFY(bench.clientGets("HTTP/1.1 100 Continue\r\n\r\n"));
        QVERIFY(bench.dialer.wires.empty());
        QVERIFY(bench.client->send("{}"));
        QVERIFY(bench.engineGets(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{}"));
    }

    void tellsTheEngineThatTheClientHasLeft()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/events")));
        QVERIFY(bench.engineGets(get("/events")));
        QVERIFY(
            bench.engine().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("1\r\na\r\n"); }));
        bench.client->close();
        QVERIFY(bench.until([&] { return bench.engine().poll().ended; }));
    }

    void answersAfterTheClientsHalfClose()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/_ping")));
        bench.client->closeWrite();
        QVERIFY(bench.until(
            [&] { return !bench.dialer.wires.empty() && bench.engine().poll().ended; }));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
        QVERIFY(bench.until([&] { return bench.ended; }));
    }

    void keepsAnEarlyAnswerToALargeUpload()
    {
        Bench bench;
        QVERIFY(bench.client->send(
            "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nsome"));
        QVERIFY(bench.until([&] {
            return !bench.dialer.wires.empty() && bench.engine().poll().got.ends_with("some");
        }));
        QVERIFY(bench.engine().send(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"));
        bench.engine().close();
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY(bench.client->got.ends_with("no"));
        bench.client->close();
        QVERIFY(bench.until([&] { return bench.ended; }));
    }

    void dialsAnewAfterTheEngineLeft()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/a")));
        QVERIFY(bench.engineGets(get("/a")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
        bench.engine().close();
        QVERIFY(bench.client->send(get("/b")));
        QVERIFY(bench.until([&] { return bench.dialer.wires.size() == 2; }));
        QVERIFY(bench.engineGets(get("/b")));
    }

    void leavesItsConnectionToTheNextClient()
    {
        Bench bench;
        for (int i = 0; i < 3; ++i) {
            QVERIFY(bench.client->send(get("/a")));
            QVERIFY(bench.engineGets(get("/a")));
            bench.engine().take();
            QVERIFY(bench.engine().send(kOk));
            QVERIFY(bench.clientGets(kOk));
            bench.client->close();
            QVERIFY(bench.until([&] { return bench.ended; }));
            bench.connect();
        }
        QCOMPARE(bench.dialer.wires.size(), std::size_t{1});
    }

    void leavesNoConnectionThatIsOfNoUse_data()
    {
        QTest::addColumn<QByteArray>("answer");
        QTest::addColumn<QString>("then");
        QTest::newRow("the client left before the answer") << QByteArray() << "";
        QTest::newRow("... in the middle of it") << QByteArray(kOk).chopped(1) << "";
        QTest::newRow("the engine closes it")
            << QByteArray("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            << "";
        QTest::newRow("it speaks out of turn") << QByteArray(kOk) << "speaks";
        QTest::newRow("it has left") << QByteArray(kOk) << "leaves";
        QTest::newRow("it is being stopped") << QByteArray(kOk) << "stops";
    }
    void leavesNoConnectionThatIsOfNoUse()
    {
        QFETCH(QByteArray, answer);
        QFETCH(QString, then);
        Bench bench;
        QVERIFY(bench.client->send(get("/a")));
        QVERIFY(bench.engineGets(get("/a")));
        QVERIFY(bench.engine().send(answer.toStdString()));
        QVERIFY(bench.clientGets(answer.toStdString()));
        bench.client->close();
        QVERIFY(bench.until([&] { return bench.ended || bench.engine().poll().ended; }));
        if (then == "speaks") QVERIFY(bench.engine().send(kOk));
        if (then == "leaves") bench.engine().close();
        if (then == "stops") bench.context.engine.set({.starting = true, .reason = "stopping"});
        runUntil(
            bench.loop, [] { return false; }, std::chrono::milliseconds(20));
        bench.connect();
        QVERIFY(bench.client->send(get("/b")));
        runUntil(
            bench.loop, [] { return false; }, std::chrono::milliseconds(20));
        bench.context.engine.set({.dial = engineBehind(bench.dialer)});
        QVERIFY(bench.until([&] { return bench.dialer.wires.size() == 2; }));
        QVERIFY(bench.engineGets(get("/b")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
    }

    void doesNotTakeAnUnaskedAnswerForTheNextOne()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/a")));
        QVERIFY(bench.engineGets(get("/a")));
        QVERIFY(bench.engine().send(std::string(kOk) +
                                    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
        QVERIFY(bench.clientGets(kOk));
        QVERIFY(bench.client->send(get("/b")));
        QVERIFY(bench.until([&] { return bench.dialer.wires.size() == 2; }));
        QVERIFY(bench.engineGets(get("/b")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(std::string(kOk) + kOk));
    }

    void refusesWithAReason_data()
    {
        QTest::addColumn<QString>("request");
        QTest::addColumn<QString>("status");
        auto row = [](const char* name, const QString& request, const char* status) {
            QTest::newRow(name) << request << QString(status);
        };
        row("malformed", "nonsense\r\n\r\n", "400");
        row("length and chunks",
            "POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400");
        row("large head", "GET / HTTP/1.1\r\nX: " + QString(1100000, 'x'), "431");
        row("bad chunk",
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: "
            "chunked\r\n\r\nzz\r\n",
            "400");
        row("two lengths",
            "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nContent-Length: "
            "4\r\n\r\nabcd",
            "400");
        row("folded line", "GET / HTTP/1.1\r\nHost: d\r\nX: a\r\n Y: b\r\n\r\n", "400");
        row("bare line feeds", "GET / HTTP/1.1\nHost: d\n\n", "400");
        for (const char* call :
             {"/containers/create", "/services/create", "/services/x/update", "/volumes/create"}) {
            row(call, QString::fromStdString(post(call, "{\"a\":")), "400");
            row(qPrintable(QString("%1, deep").arg(call)),
                QString::fromStdString(post(call, std::string(50000, '['))), "400");
        }
    }
    void refusesWithAReason()
    {
        QFETCH(QString, request);
        QFETCH(QString, status);
        Bench bench;
        std::string text = request.toStdString();
        std::string_view rest = text;
        QVERIFY(bench.until([&] {
            if (!rest.empty() && bench.client->send(rest.substr(0, 16384)))
                rest.remove_prefix(std::min<std::size_t>(16384, rest.size()));
            return bench.client->poll().ended;
        }));
        QVERIFY2(bench.client->got.starts_with("HTTP/1.1 " + status.toStdString()),
                 bench.client->got.c_str());
        QVERIFY(bench.client->got.find("{\"message\":\"") != std::string::npos);
        QVERIFY(bench.dialer.hellos.empty());
        bench.client->close();
        QVERIFY(bench.until([&] { return bench.ended; }));
    }

    void refusesARelayedBodyThatIsCutOrMalformed_data()
    {
        QTest::addColumn<QString>("fields");
        QTest::addColumn<QString>("body");
        QTest::newRow("bad chunk") << "Transfer-Encoding: chunked"
                                   << "zz\r\n";
        QTest::newRow("cut chunk") << "Transfer-Encoding: chunked"
                                   << "5\r\nabc";
        QTest::newRow("lying length") << "Content-Length: 50"
                                      << "abc";
    }
    void refusesARelayedBodyThatIsCutOrMalformed()
    {
        QFETCH(QString, fields);
        QFETCH(QString, body);
        Bench bench;
        QVERIFY(bench.client->send("POST /build HTTP/1.1\r\nHost: d\r\n" +
                                   (fields + "\r\n\r\n" + body).toStdString()));
        bench.client->closeWrite();
        QVERIFY(bench.until([&] { return bench.client->poll().ended && bench.ended; }));
        QVERIFY2(bench.client->got.starts_with("HTTP/1.1 400 "), bench.client->got.c_str());
        QVERIFY(bench.client->got.ends_with("\"}\n"));
        QVERIFY(bench.until([&] { return bench.engine().poll().ended; }));
    }

    void forwardsNothingOfACutCreate()
    {
        Bench bench;
        QVERIFY(bench.client->send(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 50\r\n\r\n{}"));
        bench.client->closeWrite();
        QVERIFY(bench.until([&] { return bench.client->poll().ended && bench.ended; }));
        QVERIFY2(bench.client->got.starts_with("HTTP/1.1 400 "), bench.client->got.c_str());
        QVERIFY(bench.dialer.hellos.empty());
    }

    void waitsForAHeadOnlySoLong()
    {
        Bench bench;
        bench.context.options.headLimit = std::chrono::milliseconds(50);
        QVERIFY(bench.client->send(get("/a") + "GET /b HTTP/1.1\r\nHo"));
        QVERIFY(bench.engineGets(get("/a")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY2(bench.client->got.starts_with(std::string(kOk) + "HTTP/1.1 408 "),
                 bench.client->got.c_str());
        QVERIFY(bench.client->got.ends_with("\"}\n"));
    }

    void letsASilentConnectionStay()
    {
        Bench bench;
        bench.context.options.headLimit = std::chrono::milliseconds(10);
        QVERIFY(bench.client->send("GET /a HTTP/1.1\r\n"));
        QVERIFY(bench.client->send("Host: d\r\n\r\n"));
        QVERIFY(bench.engineGets(get("/a")));
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
        Timer later(bench.loop);
        bool passed = false;
        later.after(std::chrono::milliseconds(100), [&] { passed = true; });
        QVERIFY(bench.until([&] { return passed; }));
        QVERIFY(!bench.client->poll().ended);
        QVERIFY(bench.client->send(get("/b")));
        QVERIFY(bench.engineGets(get("/a") + get("/b")));
    }

    void saysThatTheEngineLeftInAnAnswerThatIsEdited()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/volumes")));
        QVERIFY(bench.engineGets(get("/volumes")));
        QVERIFY(bench.engine().send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"));
        bench.engine().close();
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY2(bench.client->got.starts_with("HTTP/1.1 502 "), bench.client->got.c_str());
    }

    void saysThatTheEngineIsNotRunning()
    {
        Bench bench;
        bench.context.engine.set({.reason = "stopped"});
        QVERIFY(bench.client->send(get("/info")));
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY(bench.client->got.starts_with("HTTP/1.1 503"));
        QVERIFY(
            bench.client->got.ends_with("{\"message\":\"the engine is not running (stopped); start "
                                        "it with: slipway start\"}\n"));
    }

    void waitsForAnEngineThatStarts()
    {
        Bench bench;
        bench.context.options.wait = std::chrono::seconds(60);
        bench.context.engine.set({.starting = true, .reason = "starting"});
        QVERIFY(bench.client->send(get("/info")));
        Timer later(bench.loop);
        later.after(std::chrono::milliseconds(20),
                    [&] { bench.context.engine.set({.dial = engineBehind(bench.dialer)}); });
        QVERIFY(bench.engineGets(get("/info")));
    }

    void goesToTheEngineThatIsChosenWhenARequestBegins()
    {
        Bench bench;
        WireDialer otherDialer(bench.loop);
        auto other = std::make_shared<ProxyContext>(
            bench.loop, ProxyOptions{.recordsDir = bench.dir.filePath("other").toStdString()});
        other->engine.set({.dial = engineBehind(otherDialer)});
        QVERIFY(bench.client->send(get("/events")));
        QVERIFY(bench.engineGets(get("/events")));
        bench.engineInUse = other;
        QVERIFY(bench.engine().send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("ab"); }));
        QVERIFY(bench.engine().send("cd"));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("abcd"); }));
        QVERIFY(otherDialer.wires.empty());
        bench.client->take();
        QVERIFY(bench.client->send(get("/info")));
        QVERIFY(bench.until([&] {
            return !otherDialer.wires.empty() &&
                   otherDialer.wires.back().poll().got == get("/info");
        }));
        QVERIFY(bench.until([&] { return bench.engine().poll().ended; }));
        QVERIFY(otherDialer.wires.back().send(kOk));
        QVERIFY(bench.clientGets(kOk));
    }

    void whatIsUpgradedStaysWithItsEngine()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/x", "Connection: Upgrade\r\nUpgrade: tcp\r\n")));
        QVERIFY(bench.until(
            [&] { return !bench.dialer.wires.empty() && !bench.engine().poll().got.empty(); }));
        QVERIFY(bench.engine().send(
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("\r\n\r\n"); }));
        bench.context.engine.set({.reason = "stopped"});
        bench.engineInUse = std::make_shared<ProxyContext>(bench.loop, ProxyOptions{});
        bench.engine().take();
        QVERIFY(bench.client->send("more"));
        QVERIFY(bench.engineGets("more"));
    }

    void leavesPathsToAnEngineThatHasTheHosts()
    {
        Bench bench;
        bench.context.options.mapsPaths = false;
        std::string body = json("{'HostConfig':{'Binds':['/tmp:/t']}}");
        QVERIFY(bench.client->send(post("/containers/create", body)));
        QVERIFY(bench.until([&] {
            return !bench.dialer.wires.empty() && bench.engine().poll().got.ends_with(body);
        }));
        std::string message = json("{'message':'no such path: /mnt/host/x'}");
        QVERIFY(bench.engine().send(answer("404 Not Found", message)));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with(message); }));
    }

    void hintsAtTheOtherEngine_data()
    {
        QTest::addColumn<QString>("platform");
        QTest::addColumn<QString>("message");
        QTest::addColumn<bool>("hinted");
        QTest::newRow("a list without Linux")
            << "linux"
            << "no matching manifest for linux/amd64 in the manifest list entries" << true;
        QTest::newRow("a list without Windows")
            << "windows"
            << "no matching manifest for windows/amd64 10.0.17763 in the manifest list entries"
            << true;
        QTest::newRow("of Windows") << "linux"
                                    << "image operating system 'windows' cannot be used on this "
                                       "platform: operating system is not supported"
                                    << true;
        QTest::newRow("of Linux")
            << "windows"
            << "image operating system 'linux' cannot be used on this platform" << true;
        QTest::newRow("asked for")
            << "linux"
            << "image with reference x was found but does not match the specified platform: wanted "
               "windows/amd64, actual: linux/amd64"
            << true;
        QTest::newRow("of the engine's own")
            << "linux"
            << "image with reference x was found but does not match the specified platform: wanted "
               "linux/arm64, actual: linux/amd64"
            << false;
        QTest::newRow("a path") << "linux"
                                << "no such file: /windows/x" << false;
        QTest::newRow("another") << "linux"
                                 << "No such image: x:latest" << false;
    }
    void hintsAtTheOtherEngine()
    {
        QFETCH(QString, platform);
        QFETCH(QString, message);
        QFETCH(bool, hinted);
        Bench bench;
        bench.context.options.platform = platform.toStdString();
        bench.context.hint = [] { return std::string("a hint"); };
        message.replace('\'', "\\\"");
        std::string text = json("{'message':'") + message.toStdString() + json("'}");
        QVERIFY(bench.client->send(get("/images/create")));
        QVERIFY(bench.engineGets(get("/images/create")));
        QVERIFY(bench.engine().send(answer("404 Not Found", text)));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("\"}"); }));
        QCOMPARE(bench.client->got.ends_with(" (a hint)\"}"), hinted);
    }

    // A pull tells its error within a stream that began well.
    void hintsWithinAStream()
    {
        Bench bench;
        bench.context.hint = [] { return std::string("a hint"); };
        QVERIFY(bench.client->send(post("/v1.45/images/create?fromImage=x", "")));
        QVERIFY(bench.until([&] { return !bench.dialer.wires.empty(); }));
        std::string head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        std::string first = json("{'status':'Pulling from x'}\r\n");
        QVERIFY(bench.engine().send(head + "Trailer: X\r\n\r\n" +
                                    fmt::format("{:x}\r\n{}\r\n", first.size(), first)));
        std::string seen = head + fmt::format("\r\n{:x}\r\n{}\r\n", first.size(), first);
        QVERIFY(bench.clientGets(seen));
        // Its line comes in two chunks; only what has an error is another one afterwards.
        std::string text = "no matching manifest for linux/amd64 in the manifest list entries";
        std::string line =
            json("{'a':1, 'errorDetail':{'message':'" + text + "'},'error':'" + text + "'}\r\n");
        std::string_view rest = line;
        QVERIFY(bench.engine().send(fmt::format("{:x}\r\n{}\r\n", 30, rest.substr(0, 30))));
        QVERIFY(bench.engine().send(
            fmt::format("{:x}\r\n{}\r\n0\r\nX: y\r\n\r\n", rest.size() - 30, rest.substr(30))));
        text += " (a hint)";
        line = json("{'a':1, 'errorDetail':{'message':'" + text + "'},'error':'" + text + "'}\r\n");
        seen += fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", line.size(), line);
        QVERIFY(bench.clientGets(seen));
        QVERIFY(bench.client->send(get("/_ping")));
        QVERIFY(bench.until([&] { return bench.engine().poll().got.ends_with(get("/_ping")); }));
    }

    void refusesAnAnswerWhoseFirstChunkIsMalformed()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/events")));
        QVERIFY(bench.engineGets(get("/events")));
        QVERIFY(bench.engine().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY2(bench.client->got.starts_with("HTTP/1.1 502 "), bench.client->got.c_str());
        QVERIFY2(bench.client->got.find("malformed chunked body") != std::string::npos,
                 bench.client->got.c_str());
    }

    void takesNoSecondConnectionWhenTheEngineComesBack()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/events")));
        QVERIFY(bench.engineGets(get("/events")));
        bench.context.engine.set(bench.context.engine.now());
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
        bench.context.engine.set(bench.context.engine.now());
        QVERIFY(bench.client->send(get("/info")));
        QVERIFY(bench.engineGets(get("/events") + get("/info")));
        QCOMPARE(bench.dialer.wires.size(), std::size_t{1});
    }

    void givesUpOnAnEngineThatDoesNotAnswer()
    {
        Bench bench;
        bench.dialer.error = "connection refused";
        QVERIFY(bench.client->send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n"));
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY(bench.client->got.starts_with("HTTP/1.1 503"));
        QVERIFY(bench.client->got.ends_with("\r\n\r\n"));
        QVERIFY(bench.dialer.hellos.size() > 1);
    }

    void saysThatTheEngineLeft()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/info")));
        QVERIFY(bench.engineGets(get("/info")));
        bench.engine().close();
        QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
        QVERIFY(bench.client->got.starts_with("HTTP/1.1 502"));
    }

    void mapsBindsBothWays()
    {
        Bench bench;
        std::string folder = bench.dir.filePath("link").toStdString();
        std::string real =
            std::filesystem::canonical(bench.dir.path().toStdString()).string() + "/real";
        std::filesystem::create_directory(real);
        std::filesystem::create_symlink(real, folder);
        std::vector<std::filesystem::path> granted;
        bench.context.options.grant = [&](const std::filesystem::path& path,
                                          ProxyOptions::Done done) {
            granted.push_back(path);
            done({});
        };
        auto body = [](const std::string& source) {
            return json("{'HostConfig':{'Binds':['") + source + json(":/d']}}");
        };
        QVERIFY(bench.client->send(post("/v1.45/containers/create?name=x", body(folder))));
        QVERIFY(
            bench.engineGets(post("/v1.45/containers/create?name=x", body("/mnt/host" + real))));
        QCOMPARE(granted, std::vector<std::filesystem::path>{real});
        bench.engine().take();
        QVERIFY(bench.engine().send(answer("201 Created", json("{'Id':'abc123'}"))));
        QVERIFY(bench.clientGets(answer("201 Created", json("{'Id':'abc123'}"))));
        bench.client->take();

        auto inspected = [&](const std::string& source) {
            return json("{'Id':'abc123','HostConfig':{'Binds':['" + source +
                        ":/d']},'Mounts':[{'Type':'bind','Source':'" + source +
                        "','Destination':'/d'}]}");
        };
        QVERIFY(bench.client->send(get("/containers/x/json")));
        QVERIFY(bench.engineGets(get("/containers/x/json")));
        bench.engine().take();
        std::string chunk = inspected("/mnt/host" + real);
        QVERIFY(bench.engine().send(
            fmt::format("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                        chunk.size(), chunk)));
        QVERIFY(bench.clientGets(answer("200 OK", inspected(folder))));
        bench.client->take();

        QVERIFY(bench.client->send(get("/containers/json")));
        QVERIFY(bench.engineGets(get("/containers/json")));
        QVERIFY(bench.engine().send(answer("200 OK", "[" + inspected("/mnt/host" + real) + "]")));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("]"); }));
        QVERIFY(bench.client->got.ends_with("[" + inspected(folder) + "]"));
        BindRecords again(bench.dir.filePath("records").toStdString());
        QCOMPARE(again.spelled("abc123", "/d", "/mnt/host" + real),
                 std::optional<std::string>(folder));
    }

    // A call and its answer, at the newest connection to the engine.
    static bool exchange(Bench& bench, const std::string& request, const std::string& forwarded,
                         const std::string& reply)
    {
        bench.client->take();
        if (!bench.client->send(request)) return false;
        if (!bench.until([&] {
                return !bench.dialer.wires.empty() &&
                       bench.dialer.wires.front().poll().got.ends_with(forwarded);
            }))
            return false;
        bench.dialer.wires.front().take();
        return bench.dialer.wires.front().send(reply) &&
               bench.until([&] { return bench.client->poll().got.ends_with("}"); });
    }

    void remembersServicesByTheirIds()
    {
        Bench bench;
        std::string link = bench.dir.filePath("link").toStdString();
        std::string real =
            std::filesystem::canonical(bench.dir.path().toStdString()).string() + "/real";
        std::filesystem::create_directory(real);
        std::filesystem::create_symlink(real, link);
        auto spec = [](const std::string& source) {
            return json(
                       "{'Name':'web','TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','"
                       "Target':'/d','Source':'") +
                   source + json("'}]}}}");
        };
        std::string known = answer("200 OK", json("{'ID':'s1'}"));
        QVERIFY(exchange(bench, post("/services/create", spec(link)), spec("/mnt/host" + real),
                         answer("201 Created", json("{'ID':'s1'}"))));
        QCOMPARE(bench.context.records.services.spelled("s1", "/d", "/mnt/host" + real),
                 std::optional<std::string>(link));

        // An update may name it, and its answer does not say which one it was.
        std::string other = bench.dir.filePath("none").toStdString();
        std::string update = post("/services/web/update?version=3", spec(other));
        bench.client->take();
        QVERIFY(bench.client->send(update));
        QVERIFY(bench.until([&] {
            return bench.engine().poll().got.starts_with("GET /services/web HTTP/1.1\r\n");
        }));
        QVERIFY(bench.engine().send(known));
        Wire& engine = bench.dialer.wires.front();
        std::string machine = std::filesystem::weakly_canonical(other).string();
        QVERIFY(
            bench.until([&] { return engine.poll().got.ends_with(spec("/mnt/host" + machine)); }));
        QVERIFY(engine.send(answer("200 OK", json("{'Warnings':null}"))));
        QVERIFY(bench.until([&] { return bench.client->poll().got.ends_with("}"); }));
        QCOMPARE(bench.context.records.services.spelled("s1", "/d", "/mnt/host" + machine),
                 std::optional<std::string>(other));
        QVERIFY(!std::filesystem::exists(other));
    }

    void remembersVolumesByTheirNames()
    {
        Bench bench;
        std::string folder = bench.dir.filePath("v").toStdString();
        std::string machine = "/mnt/host" + std::filesystem::weakly_canonical(folder).string();
        auto volume = [](const char* options, const std::string& device) {
            return json("{'Name':'v','") + options + json("':{'o':'bind','device':'") + device +
                   json("'}}");
        };
        QVERIFY(exchange(bench, post("/volumes/create", volume("DriverOpts", folder)),
                         volume("DriverOpts", machine),
                         answer("201 Created", volume("Options", machine))));
        QVERIFY(bench.client->got.ends_with(volume("Options", folder)));
        bool removed = false;
        bench.context.bindsRemoved = [&] { removed = true; };
        bench.client->take();
        QVERIFY(bench.client->send("DELETE /volumes/v HTTP/1.1\r\nHost: d\r\n\r\n"));
        QVERIFY(
            bench.until([&] { return bench.engine().poll().got.find("DELETE /volumes/v") == 0; }));
        QVERIFY(bench.engine().send("HTTP/1.1 204 No Content\r\n\r\n"));
        QVERIFY(bench.until([&] { return removed; }));
    }

    void showsHostPathsInErrors()
    {
        Bench bench;
        QVERIFY(bench.client->send(post("/containers/x/start", "")));
        QVERIFY(bench.engineGets(post("/containers/x/start", "")));
        QVERIFY(bench.engine().send(
            answer("500 Internal Server Error", json("{'message':'mount /mnt/host/a: no'}"))));
        QVERIFY(bench.clientGets(
            answer("500 Internal Server Error", json("{'message':'mount /a: no'}"))));
    }

    void namesTheContainerThatPublishesAPort_data()
    {
        QTest::addColumn<QString>("message");
        QTest::addColumn<QString>("shown");
        QTest::newRow("known") << "on x: Bind for 0.0.0.0:8080 failed: port is already allocated"
                               << "on x: Bind for 0.0.0.0:8080 failed: port is already allocated: "
                                  "held by container 'demo'";
        QTest::newRow("IPv6")
            << "Bind for :::8080 failed: port is already allocated (x)"
            << "Bind for :::8080 failed: port is already allocated: held by container 'demo' (x)";
        QTest::newRow("unknown") << "Bind for 0.0.0.0:81 failed: port is already allocated"
                                 << "Bind for 0.0.0.0:81 failed: port is already allocated";
        QTest::newRow("no port") << " failed: port is already allocated"
                                 << " failed: port is already allocated";
        QTest::newRow("nonsense") << "a:b failed: port is already allocated"
                                  << "a:b failed: port is already allocated";
        QTest::newRow("too large") << ":99999 failed: port is already allocated"
                                   << ":99999 failed: port is already allocated";
    }
    void namesTheContainerThatPublishesAPort()
    {
        QFETCH(QString, message);
        QFETCH(QString, shown);
        auto containerOn = [](std::uint16_t port) {
            return std::string(port == 8080 ? "demo" : "");
        };
        QCOMPARE(withPortHolder(message.toStdString(), containerOn), json(shown.toStdString()));
    }

    void refusesAMissingMountAndMakesAMissingBind()
    {
        std::string nope;
        {
            Bench bench;
            nope = bench.dir.filePath("nope").toStdString();
            QVERIFY(bench.client->send(post(
                "/containers/create", json("{'HostConfig':{'Mounts':[{'Type':'bind','Source':'") +
                                          nope + json("','Target':'/x'}]}}"))));
            QVERIFY(bench.until([&] { return bench.client->poll().ended; }));
            QVERIFY(bench.client->got.starts_with("HTTP/1.1 400 "));
            QVERIFY(bench.client->got.find("invalid mount config for type \\\"bind\\\": bind "
                                           "source path does not exist: " +
                                           nope) != std::string::npos);
            QVERIFY(bench.dialer.wires.empty());
            QVERIFY(!std::filesystem::exists(nope));
        }
        Bench bench;
        nope = bench.dir.filePath("deep/nope").toStdString();
        QVERIFY(bench.client->send(post(
            "/containers/create", json("{'HostConfig':{'Binds':['") + nope + json(":/x']}}"))));
        QVERIFY(bench.until([&] { return !bench.dialer.wires.empty(); }));
        QVERIFY(std::filesystem::is_directory(nope));
    }

    void refusesAnOversizedCreate()
    {
        Bench bench;
        QVERIFY(bench.client->send(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999\r\n\r\n"));
        std::string block(65536, ' ');
        QVERIFY(bench.until([&] {
            while (bench.client->send(block)) {
            }
            return bench.client->poll().got.starts_with("HTTP/1.1 413 ");
        }));
    }

    void relaysAnswersTooLargeToEdit()
    {
        Bench bench;
        QVERIFY(bench.client->send(get("/containers/json")));
        QVERIFY(bench.engineGets(get("/containers/json")));
        std::string head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
            "chunked\r\n\r\n";
        std::string chunk = "4000\r\n" + std::string(0x4000, 'x') + "\r\n";
        std::string body;
        for (int i = 0; i < 1200; ++i) body += chunk;  // 19 MiB.
        std::string reply = head + body + "0\r\n\r\n";
        std::string_view rest = reply;
        QVERIFY(runUntil(
            bench.loop,
            [&] {
                rest.remove_prefix(bench.engine().sendSome(rest));
                return bench.client->poll().got.size() == reply.size();
            },
            std::chrono::seconds(20)));
        QVERIFY(bench.client->got == reply);
    }

    void setsLiveRestoreAsideForASwarm()
    {
        Bench bench;
        ProxyOptions::Done set;
        bool asked = true;
        bool changed = false;
        bench.context.options.setLiveRestore = [&](bool enabled, ProxyOptions::Done done) {
            asked = enabled;
            set = std::move(done);
        };
        bench.context.swarmChanged = [&] { changed = true; };
        QVERIFY(bench.client->send(post("/swarm/init", "{}")));
        QVERIFY(bench.until([&] { return set != nullptr; }));
        QVERIFY(!asked && bench.dialer.wires.empty());
        set({});
        QVERIFY(bench.engineGets(post("/swarm/init", "{}")));
        QVERIFY(!changed);
        QVERIFY(bench.engine().send(kOk));
        QVERIFY(bench.clientGets(kOk));
        QVERIFY(changed);
    }

    void diesAtAnyMoment()
    {
        std::string request =
            post("/containers/create", "{\"HostConfig\":{\"Binds\":[\"/tmp:/x\"]}}");
        for (int turns = 0; turns < 12; ++turns) {
            Bench bench;
            QVERIFY(bench.client->send(request));
            for (int turn = 0; turn < turns; ++turn) {
                uv_run(bench.loop.uv(), UV_RUN_NOWAIT);
                if (!bench.dialer.wires.empty())
                    bench.engine().send(answer("201 Created", json("{'Id':'a1'}")));
            }
            bench.proxy.reset();
            uv_run(bench.loop.uv(), UV_RUN_NOWAIT);
        }
    }
};

QTEST_APPLESS_MAIN(TestHttpProxy)
#include "tst_http_proxy.moc"
