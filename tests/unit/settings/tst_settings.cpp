// Settings: what is read, and that bad input is named, kept and survived.
#include <algorithm>
#include <fstream>

#include <QtTest>

#include "wsl-bridge/settings/settings.h"

using namespace slipway;
namespace fs = std::filesystem;

namespace {

// Easier to read with ' for ".
std::string json(std::string text)
{
    std::replace(text.begin(), text.end(), '\'', '"');
    return text;
}

}  // namespace

class TestSettings : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    fs::path file(const char* name) const { return fs::path(m_dir.path().toStdString()) / name; }
    static void write(const fs::path& path, std::string_view text) { std::ofstream(path) << text; }

private slots:
    void absenceMeansDefaults()
    {
        auto loaded = loadSettings(file("absent.json"));
        QCOMPARE(loaded.value.files, FilesMode::Direct);
        QCOMPARE(loaded.value.publish, PublishAddress::Localhost);
        QCOMPARE(loaded.value.streams, StreamsMode::Handed);
        QVERIFY(!loaded.value.egress && !loaded.value.hostServices && !loaded.value.hostProxies);
        QVERIFY(loaded.complaints.empty());
    }

    void readsHowTheMachineReachesTheOutside()
    {
        write(file("out.json"),
              json("{'egress': 'host', 'host_services': [80, 5432], 'proxies': 'host'}"));
        auto loaded = loadSettings(file("out.json"));
        QVERIFY(loaded.complaints.empty());
        QVERIFY(loaded.value.egress == EgressMode::Host);
        QVERIFY((loaded.value.hostServices == std::vector<std::uint16_t>{80, 5432}));
        QVERIFY(loaded.value.hostProxies);
        for (const char* wrong :
             {"{'egress': 'vpn'}", "{'host_services': 80}", "{'host_services': [0]}",
              "{'host_services': ['80']}", "{'host_services': [65536]}", "{'proxies': true}"}) {
            write(file("wrong.json"), json(wrong));
            QCOMPARE(loadSettings(file("wrong.json")).complaints.size(), std::size_t{1});
        }
    }

    void knowsTheWaysOfStreams()
    {
        write(file("many.json"), json("{'streams': 'multiplexed'}"));
        QVERIFY(loadSettings(file("many.json")).value.streams == StreamsMode::Multiplexed);
        write(file("wrong.json"), json("{'streams': 'carried'}"));
        QCOMPARE(loadSettings(file("wrong.json")).complaints.size(), std::size_t{1});
    }

    void aChangeOfTheEgressKeepsTheRest()
    {
        write(file("kept.json"), json("{'publish': 'all', 'unknown': 1}"));
        QVERIFY(saveEgress(file("kept.json"), EgressMode::Host));
        auto loaded = loadSettings(file("kept.json"));
        QVERIFY(loaded.value.egress == EgressMode::Host);
        QCOMPARE(loaded.value.publish, PublishAddress::All);
    }

    void readsWhatIsSet()
    {
        write(file("set.json"), json("{'files': 'fuse', 'publish': 'all', 'streams': 'relayed', "
                                     "'rootfs': '/x/root.tar.zst'}"));
        auto loaded = loadSettings(file("set.json"));
        QCOMPARE(loaded.value.files, FilesMode::Fuse);
        QCOMPARE(loaded.value.publish, PublishAddress::All);
        QCOMPARE(loaded.value.streams, StreamsMode::Relayed);
        QCOMPARE(loaded.value.rootfs, fs::path("/x/root.tar.zst"));
    }

    void namesLineAndColumnAndKeepsTheFile()
    {
        write(file("bad.json"), "{\n  \"files\": \"fuse\"\n  \"x\": 1\n}\n");
        auto loaded = loadSettings(file("bad.json"));
        QCOMPARE(loaded.value.files, FilesMode::Direct);
        QCOMPARE(loaded.complaints.size(), std::size_t{1});
        QVERIFY2(loaded.complaints[0].text.find("line 3, column 3") != std::string::npos,
                 loaded.complaints[0].text.c_str());
        QVERIFY(loaded.complaints[0].remedy.find("bad.json.bad") != std::string::npos);
        QVERIFY(!fs::exists(file("bad.json")));
        QVERIFY(fs::exists(file("bad.json.bad")));
        write(file("bad.json"), "[");
        loadSettings(file("bad.json"));
        QVERIFY(fs::exists(file("bad.json.bad2")));
    }

    void aWrongValueIsNamedAndTheFileStays()
    {
        write(file("wrong.json"), R"({"files": "teleport"})");
        auto loaded = loadSettings(file("wrong.json"));
        QCOMPARE(loaded.value.files, FilesMode::Direct);
        QVERIFY(loaded.complaints.at(0).text.find("\"teleport\"") != std::string::npos);
        QVERIFY(fs::exists(file("wrong.json")));
    }

    void daemonJsonIsPassedAsItStands()
    {
        std::string text = "{ \"debug\" : true, \"x\": 1.50 }\n";
        write(file("daemon.json"), text);
        QCOMPARE(loadDaemonJson(file("daemon.json")).value, text);
        write(file("list.json"), "[1]");
        auto loaded = loadDaemonJson(file("list.json"));
        QVERIFY(loaded.value.empty());
        QVERIFY(fs::exists(file("list.json.bad")));
    }

    void readsTheOtherEngine()
    {
        write(file("windows.json"),
              json("{'engine': 'windows', 'windows': {'host': 'tcp://w:2376', 'tls': '/certs'}}"));
        auto loaded = loadSettings(file("windows.json"));
        QVERIFY(loaded.complaints.empty());
        QCOMPARE(loaded.value.engine, EngineName::Windows);
        QCOMPARE(loaded.value.windows->host, std::string("tcp://w:2376"));
        QCOMPARE(loaded.value.windows->tlsDir, fs::path("/certs"));
        write(file("none.json"), json("{'engine': 'windows'}"));
        loaded = loadSettings(file("none.json"));
        QVERIFY(loaded.complaints.at(0).text.find("\"windows\" is not set") != std::string::npos);
        QCOMPARE(loaded.value.engine, EngineName::Linux);
    }

    void savesEnginesAndKeepsTheRest()
    {
        write(file("saved.json"), json("{'files': 'fuse', 'mine': [12, 'x'], 'publish': 'all'}"));
        QVERIFY(saveEngines(file("saved.json"), WindowsEngine{"tcp://w:2375", {}},
                            EngineName::Windows));
        std::ifstream in(file("saved.json"));
        std::string text(std::istreambuf_iterator<char>(in), {});
        QCOMPARE(
            text,
            (json(
                "{\n  'files': 'fuse',\n  'mine': [\n    12,\n    'x'\n  ],\n  'publish': 'all',\n "
                " 'engine': 'windows',\n  'windows': {\n    'host': 'tcp://w:2375'\n  }\n}\n")));
        auto loaded = loadSettings(file("saved.json"));
        QCOMPARE(loaded.value.files, FilesMode::Fuse);
        QCOMPARE(loaded.value.engine, EngineName::Windows);
        QVERIFY(saveEngines(file("saved.json"), std::nullopt, EngineName::Linux));
        QVERIFY(!loadSettings(file("saved.json")).value.windows);
        QCOMPARE(loadSettings(file("saved.json")).value.files, FilesMode::Fuse);
    }

    void savesTheTcpEndpoint()
    {
        QVERIFY(saveTcp(file("tcp.json"), TcpSettings{"0.0.0.0", 1234, true}).has_value());
        auto loaded = loadSettings(file("tcp.json"));
        QVERIFY(loaded.complaints.empty());
        QCOMPARE(loaded.value.tcp->address, std::string("0.0.0.0"));
        QCOMPARE(loaded.value.tcp->port, std::uint16_t{1234});
        QVERIFY(saveTcp(file("tcp.json"), std::nullopt).has_value());
        QVERIFY(!loadSettings(file("tcp.json")).value.tcp);
    }

    void readsTheTcpEndpoint_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<int>("port");
        QTest::addColumn<QString>("complaint");
        QTest::newRow("TLS") << "{'tcp': {}}" << 2376 << "";
        QTest::newRow("plain") << "{'tcp': {'tls': false}}" << 2375 << "";
        QTest::newRow("port") << "{'tcp': {'port': 65536}}" << 0 << "from 1 to 65535";
        QTest::newRow("port 0") << "{'tcp': {'port': 0}}" << 0 << "from 1 to 65535";
        QTest::newRow("no object") << "{'tcp': true}" << 0 << "must be an object";
        QTest::newRow("tls") << "{'tcp': {'tls': 'yes'}}" << 0 << "must be true or false";
    }
    void readsTheTcpEndpoint()
    {
        QFETCH(QString, text);
        QFETCH(int, port);
        QFETCH(QString, complaint);
        write(file("one.json"), json(text.toStdString()));
        auto loaded = loadSettings(file("one.json"));
        QCOMPARE(loaded.value.tcp ? loaded.value.tcp->port : 0, port);
        QCOMPARE(loaded.complaints.empty(), complaint.isEmpty());
        if (complaint.isEmpty()) return;
        QVERIFY2(loaded.complaints[0].text.find(complaint.toStdString()) != std::string::npos,
                 loaded.complaints[0].text.c_str());
    }

    void savesNothingIntoAFileThatItCantRead()
    {
        write(file("torn.json"), "{\"files\": ");
        auto saved = saveEngines(file("torn.json"), std::nullopt, EngineName::Linux);
        QVERIFY(!saved);
        QVERIFY(saved.error().message.find("torn.json, line 1") != std::string::npos);
        QVERIFY(saveEngines(file("fresh.json"), std::nullopt, EngineName::Linux).has_value());
        QVERIFY(loadSettings(file("fresh.json")).complaints.empty());
    }
};

QTEST_GUILESS_MAIN(TestSettings)
#include "tst_settings.moc"
