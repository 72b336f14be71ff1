#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTest>

#include "linux-vm-agent/engine/daemon_json.h"

using namespace slipway;

namespace {

QJsonObject objectOf(const DaemonJson& made)
{
    return QJsonDocument::fromJson(QByteArray::fromStdString(made.text)).object();
}

EngineNeeds needs()
{
    return {};
}

}  // namespace

class TestDaemonJson : public QObject {
    Q_OBJECT

private slots:
    void writesItsOwnKeys()
    {
        auto made = daemonJson("", needs());
        auto keys = objectOf(made);
        QCOMPARE(keys["live-restore"].toBool(), true);
        QCOMPARE(keys["userland-proxy"].toBool(), true);
        QCOMPARE(keys["userland-proxy-path"].toString(), "/usr/lib/slipway/slipway-port-proxy");
        QCOMPARE(keys["hosts"].toVariant().toStringList(),
                 QStringList{"unix:///run/slipway/engine.sock"});
        QCOMPARE(keys["containerd"].toString(), "/run/containerd/containerd.sock");
        QCOMPARE(keys["exec-opts"].toVariant().toStringList(),
                 QStringList{"native.cgroupdriver=cgroupfs"});
        QVERIFY(!keys.contains("iptables"));
        QVERIFY(!keys.contains("default-address-pools"));
        QVERIFY(!keys.contains("host-gateway-ip"));
        QVERIFY(made.notes.empty());
    }

    void keepsTheUsersKeys()
    {
        auto made =
            daemonJson(R"({"registry-mirrors": ["https://m"], "log-opts": {"max-size": "1m"}, )"
                       R"("host-gateway-ip": "10.1.1.1", "exec-opts": ["isolation=x"]})",
                       {.hostGateway = "10.213.0.1"});
        auto keys = objectOf(made);
        QCOMPARE(keys["registry-mirrors"].toVariant().toStringList(), QStringList{"https://m"});
        QCOMPARE(keys["log-opts"].toObject()["max-size"].toString(), "1m");
        QCOMPARE(keys["host-gateway-ip"].toString(), "10.1.1.1");
        QCOMPARE(keys["exec-opts"].toVariant().toStringList(),
                 (QStringList{"native.cgroupdriver=cgroupfs", "isolation=x"}));
        QVERIFY(made.notes.empty());
    }

    // Only a key that is not taken is noted, and each by its name.
    void notesWhatItDoesNotTake_data()
    {
        QTest::addColumn<QString>("users");
        QTest::addColumn<QString>("key");  // Empty: no note.
        QTest::newRow("hosts") << R"({"hosts": ["tcp://0.0.0.0:2375"]})"
                               << "hosts";
        QTest::newRow("live-restore off") << R"({"live-restore": false})"
                                          << "live-restore";
        QTest::newRow("live-restore on") << R"({"live-restore": true})"
                                         << "";
        QTest::newRow("userland-proxy") << R"({"userland-proxy": false})"
                                        << "userland-proxy";
        QTest::newRow("data-root") << R"({"data-root": "/data"})"
                                   << "data-root";
        QTest::newRow("cgroup driver") << R"({"exec-opts": ["native.cgroupdriver=systemd"]})"
                                       << "exec-opts";
        QTest::newRow("same driver") << R"({"exec-opts": ["native.cgroupdriver=cgroupfs"]})"
                                     << "";
        QTest::newRow("debug") << R"({"debug": true})"
                               << "";
    }
    void notesWhatItDoesNotTake()
    {
        QFETCH(QString, users);
        QFETCH(QString, key);
        auto made = daemonJson(users.toStdString(), needs());
        QCOMPARE(made.notes.size(), key.isEmpty() ? std::size_t{0} : std::size_t{1});
        if (key.isEmpty()) return;
        QVERIFY(made.notes[0].text.find('"' + key.toStdString() + '"') != std::string::npos);
        QVERIFY(made.notes[0].remedy.find(key.toStdString()) != std::string::npos);
    }

    void namesWhereAFileIsWrong_data()
    {
        QTest::addColumn<QString>("users");
        QTest::addColumn<QString>("where");
        QTest::newRow("syntax") << "{\n  \"debug\": true,\n  oops\n}"
                                << "line 3, column 3";
        QTest::newRow("cut off") << "{\"debug\": tr"
                                 << "line 1, column";
        QTest::newRow("no object") << "[1]"
                                   << "expected an object";
    }
    void namesWhereAFileIsWrong()
    {
        QFETCH(QString, users);
        QFETCH(QString, where);
        auto made = daemonJson(users.toStdString(), needs());
        QCOMPARE(made.notes.size(), std::size_t{1});
        QVERIFY2(made.notes[0].text.find(where.toStdString()) != std::string::npos,
                 made.notes[0].text.c_str());
        QCOMPARE(made.text, daemonJson("", needs()).text);
    }

    void stepsLiveRestoreAsideInASwarm()
    {
        auto made = daemonJson("", {.inSwarm = true});
        QCOMPARE(objectOf(made)["live-restore"].toBool(true), false);
    }

    void goesWithoutNat()
    {
        auto made = daemonJson(R"({"ip6tables": true})", {.nat4 = false, .nat6 = false});
        QCOMPARE(objectOf(made)["iptables"].toBool(true), false);
        QCOMPARE(objectOf(made)["ip6tables"].toBool(true), false);
        QVERIFY(!made.notes.empty());
    }

    void avoidsTheHostsSubnets()
    {
        EngineNeeds beside{.hostSubnets = {"172.17.0.0/16"}};
        QVERIFY(objectOf(daemonJson("", beside)).contains("default-address-pools"));
        auto users = R"({"default-address-pools": [{"base": "10.9.0.0/16", "size": 24}]})";
        auto pools = objectOf(daemonJson(users, beside))["default-address-pools"].toArray();
        QCOMPARE(pools.size(), 1);
    }
};

QTEST_GUILESS_MAIN(TestDaemonJson)
#include "tst_daemon_json.moc"
