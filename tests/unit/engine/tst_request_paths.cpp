// Requests that name binds: which strings change, into what, and what is refused.
#include <algorithm>

#include <QtTest>

#include "wsl-bridge/engine/api_call.h"
#include "wsl-bridge/engine/request_paths.h"

using namespace slipway;

namespace {

// /link leads to /real/x; /gone does not exist; all else is what it is called.
struct FakeHost {
    std::vector<std::string> created;

    Result<std::filesystem::path> find(const std::string& spelled, Missing missing)
    {
        if (spelled == "/link") return "/real/x";
        if (spelled != "/gone") return spelled;
        if (missing == Missing::Refuse)
            return fail(Code::InvalidArgument, "does not exist: " + spelled);
        if (missing == Missing::Create) created.push_back(spelled);
        return spelled;
    }
};

// Tables are easier to read with ' for ".
Result<EditedRequest> edit(std::string body, FakeHost& host,
                           ApiCall call = ApiCall::ContainerCreate)
{
    std::replace(body.begin(), body.end(), '\'', '"');
    return editRequest(
        call, body, {"/home/ann/.slipway/docker.sock"},
        [&](const std::string& spelled, Missing missing) { return host.find(spelled, missing); });
}

}  // namespace

class TestRequestPaths : public QObject {
    Q_OBJECT

private slots:
    void mapsSources_data()
    {
        QTest::addColumn<QString>("before");
        QTest::addColumn<QString>("after");
        auto row = [](const char* name, const char* before, const char* after) {
            QTest::newRow(name) << QString(before).replace('\'', '"')
                                << QString(after).replace('\'', '"');
        };
        row("bind", "{'HostConfig':{'Binds':['/a:/b']}}",
            "{'HostConfig':{'Binds':['/mnt/host/a:/b']}}");
        row("options", "{'HostConfig':{'Binds':['/a:/b:ro,rshared,z']}}",
            "{'HostConfig':{'Binds':['/mnt/host/a:/b:ro,rshared,z']}}");
        row("symlink", "{'HostConfig':{'Binds':['/link:/b']}}",
            "{'HostConfig':{'Binds':['/mnt/host/real/x:/b']}}");
        row("the rest stays",
            "{ 'New':{'x':1.0e2},'HostConfig' : {'Binds':[ '/a:/b' ,'v:/c'], 'Memory':0.10E+3} } ",
            "{ 'New':{'x':1.0e2},'HostConfig' : {'Binds':[ '/mnt/host/a:/b' ,'v:/c'], "
            "'Memory':0.10E+3} } ");
        row("volume", "{'HostConfig':{'Binds':['name:/b']}}",
            "{'HostConfig':{'Binds':['name:/b']}}");
        row("anonymous", "{'HostConfig':{'Binds':['/b']}}", "{'HostConfig':{'Binds':['/b']}}");
        row("mode without destination", "{'HostConfig':{'Binds':['/b:ro']}}",
            "{'HostConfig':{'Binds':['/b:ro']}}");
        row("the machine's", "{'HostConfig':{'Binds':['/proc:/host/proc:ro','/:/rootfs']}}",
            "{'HostConfig':{'Binds':['/proc:/host/proc:ro','/:/rootfs']}}");
        row("socket", "{'HostConfig':{'Binds':['/var/run/docker.sock:/var/run/docker.sock']}}",
            "{'HostConfig':{'Binds':['/run/docker.sock:/var/run/docker.sock']}}");
        row("mount", "{'HostConfig':{'Mounts':[{'Source':'/a','Type':'bind','Target':'/b'}]}}",
            "{'HostConfig':{'Mounts':[{'Source':'/mnt/host/a','Type':'bind','Target':'/b'}]}}");
        row("mount of a volume", "{'HostConfig':{'Mounts':[{'Source':'/a','Type':'volume'}]}}",
            "{'HostConfig':{'Mounts':[{'Source':'/a','Type':'volume'}]}}");
        row("relative mount", "{'HostConfig':{'Mounts':[{'Source':'nope','Type':'bind'}]}}",
            "{'HostConfig':{'Mounts':[{'Source':'nope','Type':'bind'}]}}");
        row("escapes", "{'HostConfig':{'Binds':['\\/a\\u00e9\\'x:/b']}}",
            "{'HostConfig':{'Binds':['/mnt/host/aé\\'x:/b']}}");
        row("other case", "{'hostconfig':{'binds':['/a:/b']}}",
            "{'hostconfig':{'binds':['/mnt/host/a:/b']}}");
        row("odd types", "{'HostConfig':{'Binds':[1,null,{'a':'/a:/b'}],'Mounts':'/a'}}",
            "{'HostConfig':{'Binds':[1,null,{'a':'/a:/b'}],'Mounts':'/a'}}");
        row("null", "{'HostConfig':null}", "{'HostConfig':null}");
        row("elsewhere", "{'Labels':{'Binds':'/a:/b'},'Binds':['/a:/b']}",
            "{'Labels':{'Binds':'/a:/b'},'Binds':['/a:/b']}");
        row("nothing", " \n", " \n");
        row("null after a path",
            "{'HostConfig':{'Mounts':[{'Type':'bind','Source':'/a','Source':null}]}}",
            "{'HostConfig':{'Mounts':[{'Type':'bind','Source':'/mnt/host/a','Source':null}]}}");
        row("letters that Go folds", "{'Ho\u017ftConfig':{'Bind\u017f':['/a:/b']}}",
            "{'Ho\u017ftConfig':{'Bind\u017f':['/mnt/host/a:/b']}}");
        row("a volume that is a bind",
            "{'HostConfig':{'Mounts':[{'Type':'volume','Source':'v','VolumeOptions':{'"
            "DriverConfig':{'Name':'local','Options':{'type':'none','o':'ro,bind','device':'/"
            "link'}}}}]}}",
            "{'HostConfig':{'Mounts':[{'Type':'volume','Source':'v','VolumeOptions':{'"
            "DriverConfig':{'Name':'local','Options':{'type':'none','o':'ro,bind','device':'/mnt/"
            "host/real/x'}}}}]}}");
    }
    void mapsSources()
    {
        QFETCH(QString, before);
        QFETCH(QString, after);
        FakeHost host;
        auto request = edit(before.toStdString(), host);
        QVERIFY(request.has_value());
        QCOMPARE(QString::fromStdString(request->body), after);
    }

    void mapsServices_data()
    {
        QTest::addColumn<int>("call");
        QTest::newRow("create") << static_cast<int>(ApiCall::ServiceCreate);
        QTest::newRow("update") << static_cast<int>(ApiCall::ServiceUpdate);
    }
    void mapsServices()
    {
        QFETCH(int, call);
        FakeHost host;
        std::string before =
            "{'Name':'s','TaskTemplate':{'ContainerSpec':{'Mounts':[{'Type':'bind','Source':'%','"
            "Target':'/d'},{'Type':'volume','Source':'/a'}]}},'Mounts':[{'Type':'bind','Source':'/"
            "a'}]}";
        auto with = [&](const std::string& source) {
            std::string text = before;
            std::replace(text.begin(), text.end(), '\'', '"');
            return text.replace(text.find('%'), 1, source);
        };
        auto request = edit(with("/link"), host, static_cast<ApiCall>(call));
        QCOMPARE(request->body, with("/mnt/host/real/x"));
        QCOMPARE(request->binds.size(), std::size_t{1});
        QCOMPARE(request->binds[0].destination, std::string("/d"));
        QCOMPARE(request->binds[0].machine, std::string("/mnt/host/real/x"));
        // dockerd says that it is missing when a task starts.
        QCOMPARE(edit(with("/gone"), host, static_cast<ApiCall>(call))->body,
                 with("/mnt/host/gone"));
        QVERIFY(host.created.empty());
    }

    void mapsVolumes_data()
    {
        QTest::addColumn<QString>("options");
        QTest::addColumn<bool>("mapped");
        QTest::newRow("bind") << "'DriverOpts':{'type':'none','o':'bind','device':'%'}" << true;
        QTest::newRow("rbind") << "'DriverOpts':{'device':'%','o':'rw,rbind'}" << true;
        QTest::newRow("local") << "'Driver':'local','DriverOpts':{'o':'bind','device':'%'}" << true;
        QTest::newRow("other driver")
            << "'Driver':'x','DriverOpts':{'o':'bind','device':'%'}" << false;
        QTest::newRow("no bind") << "'DriverOpts':{'type':'tmpfs','o':'bindings','device':'%'}"
                                 << false;
        QTest::newRow("elsewhere") << "'Labels':{'o':'bind','device':'%'}" << false;
    }
    void mapsVolumes()
    {
        QFETCH(QString, options);
        QFETCH(bool, mapped);
        QString text = "{'Name':'v'," + options.replace('\'', '"') + "}";
        text.replace('\'', '"');
        FakeHost host;
        auto request =
            edit(QString(text).replace("%", "/link").toStdString(), host, ApiCall::VolumeCreate);
        QCOMPARE(QString::fromStdString(request->body),
                 QString(text).replace("%", mapped ? "/mnt/host/real/x" : "/link"));
        QCOMPARE(request->binds.size(), std::size_t{mapped ? 1u : 0u});
    }

    void refusesWhatIsNoJson_data()
    {
        QTest::addColumn<QString>("body");
        QTest::newRow("cut") << "{'HostConfig':{'Binds':['/a:/b'}";
        QTest::newRow("a bracket too many") << "{'HostConfig':{'Binds':['/a:/b']}}}";
        QTest::newRow("two documents") << "{}{'HostConfig':{'Binds':['/a:/b']}}";
        QTest::newRow("deep") << QString(20000, '[') + QString(20000, ']');
    }
    void refusesWhatIsNoJson()
    {
        QFETCH(QString, body);
        FakeHost host;
        auto request = edit(body.toStdString(), host);
        QVERIFY(!request.has_value());
        QCOMPARE(request.error().code, Code::InvalidArgument);
    }

    void notesWhatTheUserWrote()
    {
        FakeHost host;
        auto request = edit(
            "{'HostConfig':{'Binds':['/link:/b/','v:/c'],'Mounts':[{'Type':'bind','Source':'/"
            "a','Target':'/m/./n'}]}}",
            host);
        QCOMPARE(request->binds.size(), std::size_t{2});
        QCOMPARE(request->binds[0].destination, std::string("/m/n"));
        QCOMPARE(request->binds[0].spelled, std::string("/a"));
        QCOMPARE(request->binds[1].destination, std::string("/b"));
        QCOMPARE(request->binds[1].spelled, std::string("/link"));
        QCOMPARE(request->hostPaths, (std::vector<std::filesystem::path>{"/a", "/real/x"}));
    }

    void createsForBindsOnly()
    {
        FakeHost host;
        QVERIFY(edit("{'HostConfig':{'Binds':['/gone:/b']}}", host).has_value());
        QCOMPARE(host.created, std::vector<std::string>{"/gone"});
        QVERIFY(!edit("{'HostConfig':{'Mounts':[{'Type':'bind','Source':'/gone','Target':'/b'}]}}",
                      host));
        QVERIFY(
            edit("{'HostConfig':{'Mounts':[{'Type':'bind','Source':'/gone','Target':'/"
                 "b','BindOptions':{'CreateMountpoint':true}}]}}",
                 host));
        QCOMPARE(host.created.size(), std::size_t{2});
    }

    void refusesBeforeItCreates()
    {
        FakeHost host;
        auto request = edit(
            "{'HostConfig':{'Binds':['/gone:/b'],'Mounts':[{'Type':'bind','Source':'/"
            "gone','Target':'/c'}]}}",
            host);
        QVERIFY(!request.has_value());
        QVERIFY(host.created.empty());
    }

    void knowsTheCalls_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<QString>("target");
        QTest::addColumn<int>("call");
        auto row = [](const char* method, const char* target, ApiCall call) {
            QTest::addRow("%s %s", method, target)
                << QString(method) << QString(target) << static_cast<int>(call);
        };
        row("POST", "/containers/create", ApiCall::ContainerCreate);
        row("POST", "/v1.45/containers/create?name=x", ApiCall::ContainerCreate);
        row("POST", "/v1.45/containers/cre%61te", ApiCall::ContainerCreate);
        row("POST", "http://docker/v1.45/containers/create", ApiCall::ContainerCreate);
        row("GET", "/v1.45/containers/create", ApiCall::Other);
        row("POST", "/v1.45/containers/create/x", ApiCall::Other);
        row("GET", "/v1.45/containers/json?all=1", ApiCall::ContainerList);
        row("GET", "/containers/web/json", ApiCall::ContainerInspect);
        row("GET", "/images/json", ApiCall::Other);
        row("GET", "/images/containers/json", ApiCall::Other);
        row("POST", "/containers/web/start", ApiCall::ContainerChange);
        row("DELETE", "/containers/web", ApiCall::ContainerChange);
        row("POST", "/swarm/init", ApiCall::SwarmEnter);
        row("POST", "/v1.45/swarm/join", ApiCall::SwarmEnter);
        row("POST", "/swarm/leave?force=1", ApiCall::SwarmLeave);
        row("GET", "/swarm", ApiCall::Other);
        row("OPTIONS", "*", ApiCall::Other);
        row("POST", "/containers/a/b/start", ApiCall::Other);
        row("POST", "/containers//start", ApiCall::Other);
        row("POST", "/services/create", ApiCall::ServiceCreate);
        row("POST", "/v1.45/services/abc/update?version=3", ApiCall::ServiceUpdate);
        row("GET", "/v1.45/services?status=1", ApiCall::ServiceList);
        row("GET", "/services/web", ApiCall::ServiceInspect);
        row("GET", "/services/web/logs", ApiCall::Other);
        row("DELETE", "/services/web", ApiCall::ServiceRemove);
        row("GET", "/tasks", ApiCall::TaskList);
        row("GET", "/tasks/abc", ApiCall::TaskInspect);
        row("POST", "/volumes/create", ApiCall::VolumeCreate);
        row("GET", "/volumes", ApiCall::VolumeList);
        row("GET", "/volumes/create", ApiCall::VolumeInspect);
        row("DELETE", "/volumes/v?force=1", ApiCall::VolumeRemove);
        row("POST", "/volumes/prune", ApiCall::VolumeRemove);
        row("GET", "/v1.45/system/df", ApiCall::SystemDf);
        row("GET", "/vx/system/df", ApiCall::Other);
    }
    void knowsTheCalls()
    {
        QFETCH(QString, method);
        QFETCH(QString, target);
        QFETCH(int, call);
        QCOMPARE(static_cast<int>(apiCallOf(method.toStdString(), target.toStdString())), call);
    }

    void knowsWhatACallIsAbout()
    {
        QCOMPARE(nameIn("POST", "/v1.45/services/my%2Dweb/update?version=3"),
                 std::string("my-web"));
        QCOMPARE(nameIn("GET", "/containers/json"), std::string());
        QCOMPARE(nameIn("GET", "/info"), std::string());
    }
};

QTEST_APPLESS_MAIN(TestRequestPaths)
#include "tst_request_paths.moc"
