#include <QTest>

#include "linux-vm-agent/engine/address_pools.h"

using namespace slipway;

class TestAddressPools : public QObject {
    Q_OBJECT

private slots:
    void parsesSubnets_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("subnet");  // Empty: none.
        QTest::newRow("plain") << "10.0.0.0/8"
                               << "10.0.0.0/8";
        QTest::newRow("address in it") << "192.168.1.77/24"
                                       << "192.168.1.0/24";
        QTest::newRow("everything") << "0.0.0.0/0"
                                    << "0.0.0.0/0";
        QTest::newRow("one address") << "1.2.3.4/32"
                                     << "1.2.3.4/32";
        for (const char* bad :
             {"", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/8", "10.0.0.0/8x", "10.0.0.0/"})
            QTest::newRow(bad) << bad << "";
    }
    void parsesSubnets()
    {
        QFETCH(QString, text);
        QFETCH(QString, subnet);
        auto parsed = parseSubnet(text.toStdString());
        QCOMPARE(parsed ? QString::fromStdString(parsed->text()) : "", subnet);
    }

    void keepsTheDefaultsWhereNothingCollides()
    {
        std::vector<std::string> taken{"10.0.0.0/8", "192.0.2.0/24", "fd00::/8", "0.0.0.0/0",
                                       "nonsense"};
        QVERIFY(!addressPoolsBeside(taken));
    }

    void avoidsWhatIsTaken_data()
    {
        QTest::addColumn<QStringList>("taken");
        QTest::newRow("docker0 of the host") << QStringList{"172.17.0.0/16"};
        QTest::newRow("home network") << QStringList{"192.168.1.0/24"};
        QTest::newRow("one host") << QStringList{"172.20.3.4/32"};
        QTest::newRow("all defaults") << QStringList{"172.16.0.0/12", "192.168.0.0/16"};
        QTest::newRow("part of the rest, too")
            << QStringList{"172.16.0.0/12", "192.168.0.0/16", "10.128.0.0/10"};
    }
    void avoidsWhatIsTaken()
    {
        QFETCH(QStringList, taken);
        std::vector<std::string> texts;
        for (const QString& text : taken) texts.push_back(text.toStdString());
        auto pools = addressPoolsBeside(texts);
        QVERIFY(pools);
        QVERIFY(pools->size() >= 16);
        for (const AddressPool& pool : *pools) {
            QVERIFY(pool.networkBits >= pool.base.prefix);
            for (const std::string& text : texts)
                QVERIFY2(!pool.base.overlaps(*parseSubnet(text)), pool.base.text().c_str());
        }
    }

    void hasNoneWhereEverythingIsTaken()
    {
        std::vector<std::string> taken{"172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"};
        auto pools = addressPoolsBeside(taken);
        QVERIFY(pools);
        QVERIFY(pools->empty());
    }
};

QTEST_GUILESS_MAIN(TestAddressPools)
#include "tst_address_pools.moc"
