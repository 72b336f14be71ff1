// Settings: what is read, and that bad input is named, kept and survived.
#include <fstream>

#include <QtTest>

#include "wsl-bridge/settings/settings.h"

using namespace slipway;
namespace fs = std::filesystem;

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
        QVERIFY(loaded.complaints.empty());
    }

    void readsWhatIsSet()
    {
        write(file("set.json"),
              R"({"files": "fuse", "publish": "all", "rootfs": "/x/root.tar.zst"})");
        auto loaded = loadSettings(file("set.json"));
        QCOMPARE(loaded.value.files, FilesMode::Fuse);
        QCOMPARE(loaded.value.publish, PublishAddress::All);
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
};

QTEST_GUILESS_MAIN(TestSettings)
#include "tst_settings.moc"
