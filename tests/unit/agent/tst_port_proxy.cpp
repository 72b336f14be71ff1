#include <QTest>

#include "linux-vm-agent/port_proxy/arguments.h"

using namespace slipway;

class TestPortProxy : public QObject {
    Q_OBJECT

private slots:
    void readsDockerdsArguments_data()
    {
        QTest::addColumn<QString>("arguments");
        QTest::addColumn<QString>("port");  // As text, or "!" and what is wrong.
        QTest::newRow("26.1")
            << "-proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.29.0.2 "
               "-container-port 80"
            << "tcp 0.0.0.0 8080 172.29.0.2 80";
        QTest::newRow("28") << "-proto udp -host-ip :: -host-port 53 -container-ip fd00::2 "
                               "-container-port 5353 -use-listen-fd"
                            << "udp :: 53 fd00::2 5353";
        QTest::newRow("equals")
            << "--proto=tcp -host-ip=127.0.0.1 -host-port=1 -container-ip=10.0.0.1 "
               "-container-port=65535 -use-listen-fd=true"
            << "tcp 127.0.0.1 1 10.0.0.1 65535";
        QTest::newRow("unknown") << "-verbose"
                                 << "!unknown argument -verbose";
        QTest::newRow("stray") << "tcp"
                               << "!unexpected argument tcp";
        QTest::newRow("no value") << "-proto"
                                  << "!no value for -proto";
        QTest::newRow("missing") << "-proto tcp"
                                 << "!no value for -container-ip";
        QTest::newRow("no port")
            << "-proto tcp -host-ip 0.0.0.0 -host-port 65536 -container-ip 1.2.3.4 "
               "-container-port 80"
            << "!-host-port 65536 is no port";
    }
    void readsDockerdsArguments()
    {
        QFETCH(QString, arguments);
        QFETCH(QString, port);
        std::vector<std::string> words;
        for (const QString& word : arguments.split(' ')) words.push_back(word.toStdString());
        std::vector<std::string_view> views(words.begin(), words.end());
        auto parsed = parseArguments(views);
        auto* wrong = std::get_if<std::string>(&parsed);
        auto text = wrong ? "!" + *wrong : toText(std::get<ClaimedPort>(parsed));
        QCOMPARE(QString::fromStdString(text), port);
    }

    void readsBackWhatItWrites()
    {
        ClaimedPort port{"tcp", "::", 8080, "172.17.0.2", 80};
        QCOMPARE(parsePort(toText(port)), std::optional(port));
    }

    void refusesWhatIsNoPort_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text :
             {"", "tcp", "tcp 0.0.0.0 80 1.2.3.4", "tcp 0.0.0.0 x 1.2.3.4 80",
              "tcp 0.0.0.0 80 1.2.3.4 80 80", "tcp  80 1.2.3.4 80", "tcp 0.0.0.0 -1 1.2.3.4 80"})
            QTest::newRow(text) << text;
    }
    void refusesWhatIsNoPort()
    {
        QFETCH(QString, text);
        QVERIFY(!parsePort(text.toStdString()));
    }
};

QTEST_GUILESS_MAIN(TestPortProxy)
#include "tst_port_proxy.moc"
