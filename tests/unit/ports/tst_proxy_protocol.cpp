// The bytes of PROXY headers, as the protocol's text has them, and the label that asks for them.
#include <QtTest>

#include "wsl-bridge/ports/proxy_protocol.h"

using namespace slipway;

class TestProxyProtocol : public QObject {
    Q_OBJECT

private slots:
    void hasTheBytesOfTheProtocol_data()
    {
        QTest::addColumn<QByteArray>("client");
        QTest::addColumn<QByteArray>("here");
        QTest::addColumn<QByteArray>("header");
        QTest::newRow("IPv4") << QByteArray::fromHex("c0000201") << QByteArray::fromHex("7f000001")
                              << QByteArray::fromHex(
                                     "0d0a0d0a000d0a515549540a"
                                     "21"
                                     "11"
                                     "000c"
                                     "c0000201"
                                     "7f000001"
                                     "d431"
                                     "0050");
        QTest::newRow("IPv6") << QByteArray::fromHex("20010db8000000000000000000000001")
                              << QByteArray::fromHex("00000000000000000000000000000001")
                              << QByteArray::fromHex(
                                     "0d0a0d0a000d0a515549540a"
                                     "21"
                                     "21"
                                     "0024"
                                     "20010db8000000000000000000000001"
                                     "00000000000000000000000000000001"
                                     "d431"
                                     "0050");
    }
    void hasTheBytesOfTheProtocol()
    {
        QFETCH(QByteArray, client);
        QFETCH(QByteArray, here);
        QFETCH(QByteArray, header);
        std::string made = proxyHeader({{client.toStdString(), 0xd431}, {here.toStdString(), 80}});
        QCOMPARE(QByteArray::fromStdString(made).toHex(), header.toHex());
    }

    void readsTheLabel_data()
    {
        QTest::addColumn<QString>("label");
        QTest::addColumn<bool>("asks");
        QTest::newRow("the port") << "80" << true;
        QTest::newRow("of several") << "443/tcp, 80/tcp" << true;
        QTest::newRow("another") << "8080" << false;
        QTest::newRow("udp") << "80/udp" << false;
        QTest::newRow("nothing") << "" << false;
        QTest::newRow("nonsense") << ",,true,80x," << false;
    }
    void readsTheLabel()
    {
        QFETCH(QString, label);
        QFETCH(bool, asks);
        QCOMPARE(asksForProxyHeader(label.toStdString(), 80), asks);
    }
};

QTEST_APPLESS_MAIN(TestProxyProtocol)
#include "tst_proxy_protocol.moc"
