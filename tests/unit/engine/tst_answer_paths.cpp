// Answers and their records: which strings change back, into whose spelling, and when it is
// forgotten.
#include <algorithm>
#include <fstream>

#include <QtTest>

#include "wsl-bridge/engine/answer_paths.h"

using namespace slipway;

namespace {

// Easier to read with ' for ".
std::string json(std::string text)
{
    std::replace(text.begin(), text.end(), '\'', '"');
    return text;
}

struct Bench {
    QTemporaryDir dir;
    Records records{dir.path().toStdString()};

    Bench()
    {
        put(records.containers, "c1", "/d", "/link");
        put(records.services, "s1", "/d", "/srv-link");
        put(records.volumes, "v1", "", "/vol-link");
    }
    static void put(BindRecords& to, const std::string& id, const std::string& destination,
                    const std::string& spelled)
    {
        if (!to.put(id, {{destination, "/mnt/host/real", spelled}})) std::abort();
    }
};

}  // namespace

class TestAnswerPaths : public QObject {
    Q_OBJECT

private slots:
    void showsWhatUsersWrote_data()
    {
        QTest::addColumn<int>("call");
        QTest::addColumn<QString>("before");
        QTest::addColumn<QString>("after");
        auto row = [](const char* name, ApiCall call, const char* before, const char* after) {
            QTest::newRow(name) << static_cast<int>(call) << QString(before) << QString(after);
        };
        row("container", ApiCall::ContainerInspect,
            "{'Id':'c1','Mounts':[{'Type':'bind','Source':'/mnt/host/real','Destination':'/"
            "d'}],'HostConfig':{'Binds':['/mnt/host/real:/d/:ro'],'Mounts':[{'Type':'bind','"
            "Source':'/mnt/host/real','Target':'/d'}]},'State':{'Error':'mount /mnt/host/real/x'}}",
            "{'Id':'c1','Mounts':[{'Type':'bind','Source':'/link','Destination':'/"
            "d'}],'HostConfig':{'Binds':['/link:/d/:ro'],'Mounts':[{'Type':'bind','"
            "Source':'/link','Target':'/d'}]},'State':{'Error':'mount /link/x'}}");
        row("elsewhere in it", ApiCall::ContainerList,
            "[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/mnt/host/real','Destination':'/e'}]}]",
            "[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/real','Destination':'/e'}]}]");
        row("another path there", ApiCall::ContainerList,
            "[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/mnt/host/new','Destination':'/d'}]}]",
            "[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/new','Destination':'/d'}]}]");
        row("a service's container", ApiCall::ContainerList,
            "[{'Id':'c2','Labels':{'com.docker.swarm.service.id':'s1'},'Mounts':[{'Type':'bind','"
            "Source':'/mnt/host/real','Destination':'/d'}]}]",
            "[{'Id':'c2','Labels':{'com.docker.swarm.service.id':'s1'},'Mounts':[{'Type':'bind','"
            "Source':'/srv-link','Destination':'/d'}]}]");
        row("the machine's, and the user's own texts", ApiCall::ContainerInspect,
            "{'Id':'c1','Path':'/mnt/host/real','Config':{'Labels':{'a':'/mnt/host/"
            "real'}},'Mounts':[{'Type':'bind','Source':'/proc'},{'Type':'volume','Source':'/mnt/"
            "host/real'}]}",
            "{'Id':'c1','Path':'/mnt/host/real','Config':{'Labels':{'a':'/mnt/host/"
            "real'}},'Mounts':[{'Type':'bind','Source':'/proc'},{'Type':'volume','Source':'/mnt/"
            "host/real'}]}");
        row("socket", ApiCall::ContainerInspect,
            "{'Mounts':[{'Type':'bind','Source':'/run/docker.sock'}]}",
            "{'Mounts':[{'Type':'bind','Source':'/var/run/docker.sock'}]}");
        row("service", ApiCall::ServiceInspect,
            "{'ID':'s1','Spec':{'TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source':"
            "'/mnt/host/real','Target':'/d'}]}}},'PreviousSpec':{'TaskTemplate':{'ContainerSpec':{"
            "'Mounts':[{'Type':'bind','Source':'/mnt/host/old','Target':'/d'}]}}}}",
            "{'ID':'s1','Spec':{'TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source':"
            "'/srv-link','Target':'/d'}]}}},'PreviousSpec':{'TaskTemplate':{'ContainerSpec':{"
            "'Mounts':[{'Type':'bind','Source':'/old','Target':'/d'}]}}}}");
        row("services", ApiCall::ServiceList,
            "[{'ID':'s1','Spec':{'TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source'"
            ":'/mnt/host/real','Target':'/d'}]}}}}]",
            "[{'ID':'s1','Spec':{'TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source'"
            ":'/srv-link','Target':'/d'}]}}}}]");
        row("tasks", ApiCall::TaskList,
            "[{'ID':'t','ServiceID':'s1','Spec':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source'"
            ":'/mnt/host/real','Target':'/d'}]}},'Status':{'Err':'bind source path does not exist: "
            "/mnt/host/no such'}}]",
            "[{'ID':'t','ServiceID':'s1','Spec':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source'"
            ":'/srv-link','Target':'/d'}]}},'Status':{'Err':'bind source path does not exist: "
            "/no such'}}]");
        row("volume", ApiCall::VolumeInspect,
            "{'Name':'v1','Options':{'device':'/mnt/host/real','o':'bind','type':'none'}}",
            "{'Name':'v1','Options':{'device':'/vol-link','o':'bind','type':'none'}}");
        row("volume of another kind", ApiCall::VolumeInspect,
            "{'Name':'v1','Options':{'device':'/mnt/host/real','o':'ro'}}",
            "{'Name':'v1','Options':{'device':'/mnt/host/real','o':'ro'}}");
        row("volumes", ApiCall::VolumeList,
            "{'Volumes':[{'Name':'v2','Options':{'device':'/mnt/host/real','o':'bind'}},{'Name':'v3"
            "','Options':null}],'Warnings':null}",
            "{'Volumes':[{'Name':'v2','Options':{'device':'/real','o':'bind'}},{'Name':'v3"
            "','Options':null}],'Warnings':null}");
        row("disk usage", ApiCall::SystemDf,
            "{'Containers':[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/mnt/host/real','"
            "Destination':'/d'}]}],'Volumes':[{'Name':'v1','Options':{'o':'bind','device':'/mnt/"
            "host/real'}}]}",
            "{'Containers':[{'Id':'c1','Mounts':[{'Type':'bind','Source':'/link','"
            "Destination':'/d'}]}],'Volumes':[{'Name':'v1','Options':{'o':'bind','device':'/"
            "vol-link'}}]}");
        row("no JSON", ApiCall::VolumeList, "/mnt/host/real", "/mnt/host/real");
        row("odd types", ApiCall::ServiceList, "[1,{'Spec':[]},null]", "[1,{'Spec':[]},null]");
    }
    void showsWhatUsersWrote()
    {
        QFETCH(int, call);
        QFETCH(QString, before);
        QFETCH(QString, after);
        Bench bench;
        QVERIFY(showsBinds(static_cast<ApiCall>(call)));
        QCOMPARE(
            withHostPaths(static_cast<ApiCall>(call), json(before.toStdString()), bench.records),
            json(after.toStdString()));
    }

    void keepsWhatWasBefore()
    {
        Bench bench;
        BindRecords& services = bench.records.services;
        QVERIFY(services.put("s1", {{"/d", "/mnt/host/new", "/new-link"}}).has_value());
        QVERIFY(services.put("s1", {{"/d", "/mnt/host/real", "/other-link"}}).has_value());
        Records again(bench.dir.path().toStdString());
        for (const BindRecords* records : {&services, &again.services}) {
            QCOMPARE(records->spelled("s1", "/d", "/mnt/host/real"),
                     std::optional<std::string>("/other-link"));
            QCOMPARE(records->spelled("s1", "/d", "/mnt/host/new"),
                     std::optional<std::string>("/new-link"));
        }
    }

    void forgetsWhatIsGone()
    {
        Bench bench;
        std::uint64_t asked = bench.records.volumes.now();
        Bench::put(bench.records.volumes, "v.2_-", "", "/later");
        bench.records.volumes.keepOnly({}, asked);
        Records again(bench.dir.path().toStdString());
        QVERIFY(!again.volumes.spelled("v1", "", "/mnt/host/real"));
        QVERIFY(again.volumes.spelled("v.2_-", "", "/mnt/host/real"));
        QVERIFY(again.containers.spelled("c1", "/d", "/mnt/host/real"));
        again.volumes.keepOnly({}, again.volumes.now());
        QVERIFY(again.volumes.empty());
    }

    void takesNoPathForAnId()
    {
        Bench bench;
        for (const char* id : {"", ".", "..", "../x", "a/b", ".hidden"})
            QVERIFY(!bench.records.volumes.put(id, {{"", "/mnt/host/x", "/x"}}).has_value());
    }

    void removesDamagedFiles()
    {
        Bench bench;
        std::ofstream(bench.dir.filePath("c2.json").toStdString()) << "[[1,2,3]]";
        std::ofstream(bench.dir.filePath("c3.json").toStdString()) << "{}";
        Records again(bench.dir.path().toStdString());
        QVERIFY(!QFile::exists(bench.dir.filePath("c2.json")));
        QVERIFY(!QFile::exists(bench.dir.filePath("c3.json")));
        QVERIFY(QFile::exists(bench.dir.filePath("c1.json")));
    }

    void namesPathsInMessages()
    {
        Bench bench;
        std::vector<BindRecord> own{{"/x", "/mnt/host/a b", "/my a"},
                                    {"/y", "/mnt/host/a b/c", "/my c"}};
        auto shown = [&](const char* message) { return bench.records.shownIn(message, own); };
        QCOMPARE(shown("mkdir /mnt/host/a b: no"), std::string("mkdir /my a: no"));
        QCOMPARE(shown("mkdir /mnt/host/a b/c/d: no"), std::string("mkdir /my c/d: no"));
        QCOMPARE(shown("'/mnt/host/real:/d:bad'"), std::string("'/link:/d:bad'"));
        QCOMPARE(shown("/mnt/host/really /mnt/host/z"), std::string("/really /z"));
        QCOMPARE(shown("x/mnt/host/real"), std::string("x/mnt/host/real"));
    }
};

QTEST_APPLESS_MAIN(TestAnswerPaths)
#include "tst_answer_paths.moc"
