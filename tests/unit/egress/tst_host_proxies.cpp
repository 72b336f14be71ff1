// The host's HTTP proxies, handed to the engine.
#include <map>

#include <QtTest>

#include "shared/json/json.h"
#include "wsl-bridge/egress/host_proxies.h"

using namespace slipway;

class TestHostProxies : public QObject {
    Q_OBJECT

    static boost::json::value with(const std::string& daemonJson,
                                   const std::map<std::string, std::string>& variables)
    {
        auto text = withHostProxies(daemonJson, "10.213.7.253", [&](const char* name) {
            auto known = variables.find(name);
            return known == variables.end() ? std::string() : known->second;
        });
        return *parseJson(text, "daemon.json");
    }

private slots:
    void areAddedToWhatTheUserHas()
    {
        auto json = with("{\"debug\": true}", {{"HTTP_PROXY", "http://proxy.corp:3128"},
                                               {"https_proxy", "http://proxy.corp:3129"},
                                               {"NO_PROXY", "localhost,.corp"}});
        QVERIFY(json.at("debug").as_bool());
        QCOMPARE(std::string(json.at("proxies").at("http-proxy").as_string()),
                 std::string("http://proxy.corp:3128"));
        QCOMPARE(std::string(json.at("proxies").at("https-proxy").as_string()),
                 std::string("http://proxy.corp:3129"));
        QCOMPARE(std::string(json.at("proxies").at("no-proxy").as_string()),
                 std::string("localhost,.corp"));
    }

    void theUsersOwnStay()
    {
        auto json = with("{\"proxies\": {\"http-proxy\": \"http://mine\"}}",
                         {{"HTTP_PROXY", "http://other"}});
        QCOMPARE(std::string(json.at("proxies").at("http-proxy").as_string()),
                 std::string("http://mine"));
    }

    void withoutAnyNothingChanges()
    {
        QCOMPARE(withHostProxies("", "h", [](const char*) { return std::string(); }),
                 std::string());
        QCOMPARE(withHostProxies("{ bad", "h", [](const char*) { return std::string("http://p"); }),
                 std::string("{ bad"));
    }

    void oneOnTheHostsLoopbackIsReachedFromTheMachine_data()
    {
        QTest::addColumn<QString>("url");
        QTest::addColumn<QString>("seen");
        QTest::newRow("plain") << "http://127.0.0.1:3128"
                               << "http://10.213.7.253:3128";
        QTest::newRow("name") << "http://localhost:3128/"
                              << "http://10.213.7.253:3128/";
        QTest::newRow("no scheme") << "localhost:3128"
                                   << "10.213.7.253:3128";
        QTest::newRow("no port") << "http://127.0.0.1"
                                 << "http://10.213.7.253";
        QTest::newRow("IPv6") << "http://[::1]:3128"
                              << "http://10.213.7.253:3128";
        QTest::newRow("user") << "http://a:b@localhost:1"
                              << "http://a:b@10.213.7.253:1";
        QTest::newRow("elsewhere") << "http://localhost.corp:1"
                                   << "http://localhost.corp:1";
    }
    void oneOnTheHostsLoopbackIsReachedFromTheMachine()
    {
        QFETCH(QString, url);
        QFETCH(QString, seen);
        auto json = with("", {{"HTTP_PROXY", url.toStdString()}});
        QCOMPARE(std::string(json.at("proxies").at("http-proxy").as_string()), seen.toStdString());
    }
};

QTEST_GUILESS_MAIN(TestHostProxies)
#include "tst_host_proxies.moc"
