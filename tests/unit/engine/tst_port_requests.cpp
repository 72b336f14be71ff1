// What users asked for when they published a port.
#include <QTemporaryDir>
#include <QtTest>

#include "wsl-bridge/engine/port_requests.h"

using namespace slipway;

namespace {

std::vector<PortRequest> requestsIn(QString body)
{
    std::string text = body.replace('\'', '"').toStdString();
    auto json = JsonText::scan(text);
    return json ? portRequestsIn(*json) : std::vector<PortRequest>{{"no JSON", "", ""}};
}

}  // namespace

class TestPortRequests : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    std::filesystem::path folder() const { return m_dir.path().toStdString(); }

private slots:
    void cleanup() { std::filesystem::remove_all(folder()); }

    void readsACreation()
    {
        auto requests = requestsIn(
            "{'hostconfig':{'PortBindings':{'80/tcp':[{'HostIp':'','HostPort':'8080'},"
            "{'HostIp':'0.0.0.0','HostPort':'8081'},{'HostIp':'127.0.0.1','HostPort':'1'}],"
            "'53/udp':[{'HostIp':'::','HostPort':''}],'7':[{}],'8/tcp':null}}}");
        std::vector<PortRequest> expected{{"", "8080", "80/tcp"},
                                          {"0.0.0.0", "8081", "80/tcp"},
                                          {"::", "", "53/udp"},
                                          {"", "", "7/tcp"}};
        QVERIFY(requests == expected);
        QVERIFY(requestsIn("{'HostConfig':{'PortBindings':[]}}").empty());
        QVERIFY(requestsIn("{}").empty());
    }

    void tellsAnAddressFromNone_data()
    {
        QTest::addColumn<QString>("hostPort");
        QTest::addColumn<QString>("address");
        QTest::addColumn<int>("claimed");
        QTest::addColumn<bool>("named");
        QTest::newRow("named") << "8080"
                               << "0.0.0.0" << 8080 << true;
        QTest::newRow("none named") << "8080"
                                    << "" << 8080 << false;
        QTest::newRow("the other family") << "8080"
                                          << "::" << 8080 << false;
        QTest::newRow("another port") << "8080"
                                      << "0.0.0.0" << 8081 << false;
        QTest::newRow("in the range") << "8080-8090"
                                      << "0.0.0.0" << 8090 << true;
        QTest::newRow("past the range") << "8080-8090"
                                        << "0.0.0.0" << 8091 << false;
        QTest::newRow("any") << ""
                             << "0.0.0.0" << 49153 << true;
        QTest::newRow("any, as 0") << "0"
                                   << "0.0.0.0" << 49153 << true;
        QTest::newRow("no number") << "http"
                                   << "0.0.0.0" << 80 << false;
    }
    void tellsAnAddressFromNone()
    {
        QFETCH(QString, hostPort);
        QFETCH(QString, address);
        QFETCH(int, claimed);
        QFETCH(bool, named);
        PortRequests requests(folder());
        QVERIFY(requests.put("c1", {{address.toStdString(), hostPort.toStdString(), "80/tcp"}})
                    .has_value());
        auto port = static_cast<std::uint16_t>(claimed);
        QCOMPARE(requests.names("0.0.0.0", port, "80/tcp"), named);
        QVERIFY(!requests.names("0.0.0.0", port, "81/tcp"));
        QVERIFY(!requests.names("0.0.0.0", port, "80/udp"));
        QCOMPARE(PortRequests(folder()).names("0.0.0.0", port, "80/tcp"), named);
    }

    void ratherPublishesTooNarrowly()
    {
        PortRequests requests(folder());
        QVERIFY(requests.put("any", {{"", "", "80/tcp"}}).has_value());
        QVERIFY(requests.put("named", {{"0.0.0.0", "8080", "80/tcp"}}).has_value());
        QVERIFY(requests.names("0.0.0.0", 8080, "80/tcp"));
        QVERIFY(requests.put("unnamed", {{"", "8080", "80/tcp"}}).has_value());
        QVERIFY(!requests.names("0.0.0.0", 8080, "80/tcp"));
        requests.keepOnly({"named"}, requests.now());
        QVERIFY(requests.names("0.0.0.0", 8080, "80/tcp"));
    }
};

QTEST_GUILESS_MAIN(TestPortRequests)
#include "tst_port_requests.moc"
