// What `slipway status`, `ports` and `shares` print for a given state.
#include <QTest>

#include "app/cli/status_text.h"
#include "app/cli/surroundings.h"
#include "app/cli/text.h"

using namespace slipway;

namespace {

constexpr std::int64_t kNow = 1'800'000'000'000;

v1::Port* addPort(v1::State& state, const char* address, unsigned hostPort, const char* container,
                  unsigned containerPort)
{
    auto* port = state.add_ports();
    port->set_protocol("tcp");
    port->set_host_address(address);
    port->set_host_port(hostPort);
    port->set_container(container);
    port->set_container_port(containerPort);
    return port;
}

v1::State runningState()
{
    v1::State state;
    state.set_version("0.1.0");
    state.set_condition(v1::CONDITION_RUNNING);
    state.set_since_unix_ms(kNow - (2 * 60 + 14) * 60'000);
    auto* engine = state.mutable_engine();
    engine->set_version("26.1.5");
    engine->set_api_version("1.45");
    engine->set_storage_driver("overlay2");
    engine->set_ping_us(310);
    engine->set_pinged_unix_ms(kNow - 2000);
    engine->set_containers_running(3);
    state.mutable_endpoint()->set_url("unix:///home/ann/.slipway/docker.sock");
    state.mutable_endpoint()->set_context("slipway");
    auto* machine = state.mutable_machine();
    machine->set_kind("sandbox");
    machine->set_user("root");
    machine->set_cgroup_version(2);
    machine->set_subnet("10.213.7.0/24");
    machine->set_network("nat");
    machine->set_pid(4711);
    machine->set_memory_bytes(412'000'000);
    machine->set_disk_bytes(1'810'000'000);
    machine->set_nameserver("10.0.0.2");
    state.mutable_files()->set_mode("direct");
    state.mutable_files()->set_other_mode("fuse");
    auto* shop = state.mutable_files()->add_folders();
    shop->set_host_path("/home/ann/shop");
    shop->add_containers("web");
    shop->add_containers("db");
    auto* other = state.mutable_files()->add_folders();
    other->set_host_path("/home/anna/site");
    other->add_containers("web");
    auto* web = addPort(state, "127.0.0.1", 8080, "web", 80);
    web->set_since_unix_ms(kNow - 65'000);
    web->set_bytes(3'140'000);
    auto* db = addPort(state, "::1", 5432, "db", 5432);
    db->set_refusal("bind [::1]:5432: held by postgres (pid 812)");
    db->set_remedy("stop postgres, or publish another port, then: docker restart db");
    auto* warning = state.add_warnings();
    warning->set_text("port 5432 of db is not published");
    warning->set_remedy(db->remedy());
    auto* bridge = state.add_processes();
    bridge->set_name("slipway-bridge");
    bridge->set_pid(100);
    bridge->set_pss_bytes(21'000'000);
    return state;
}

const Reader kReader{kNow, "/home/ann", false};

}  // namespace

class TestStatusText : public QObject {
    Q_OBJECT

private slots:
    void saysEverythingOfARunningEngine()
    {
        auto state = runningState();
        Surroundings around;
        around.dockerHost = "tcp://10.0.0.5:2375";
        around.currentContext = "slipway";
        addSurroundings(state, around);
        const char* expected =
            R"(Slipway 0.1.0   running, 3 containers                  up 2 h 14 min
Engine    Docker 26.1.5, API 1.45, overlay2            /_ping 0.3 ms, 2 s ago
Endpoint  unix:///home/ann/.slipway/docker.sock        context slipway (not current)
Machine   sandbox, root, cgroup v2, 10.213.7.0/24      412 MB memory, 1.8 GB disk
Files     direct: native speed, no confinement (see SECURITY); fuse available
          2 folders in use: ~/shop (2 containers), /home/anna/site (1)
Ports     127.0.0.1:8080  -> web:80    for 1 min 5 s, 3.1 MB
          [::1]:5432      -> db:5432   REFUSED: held by postgres (pid 812)
Network   egress nat, name server 10.0.0.2
Memory    Bridge 21 MB, Desktop not running (no display)
Warnings  1  port 5432 of db is not published
             -> stop postgres, or publish another port, then: docker restart db
          2  DOCKER_HOST=tcp://10.0.0.5:2375 is set in this shell and overrides contexts
             -> unset DOCKER_HOST, or docker --context slipway …
)";
        QCOMPARE(QString::fromStdString(statusText(state, kReader)), QString(expected));
    }

    void saysOnlyWhatIsTrueWhenStopped()
    {
        v1::State state;
        state.set_version("0.1.0");
        state.set_condition(v1::CONDITION_STOPPED);
        state.set_home("/home/ann/.slipway");
        QCOMPARE(QString::fromStdString(statusText(state, kReader)),
                 QString("Slipway 0.1.0   stopped\n"
                         "Home      ~/.slipway\n"
                         "start it with: slipway start\n"));
    }

    void aTerminalsLinesAreBroken()
    {
        auto state = runningState();
        state.clear_ports();
        state.mutable_warnings(0)->set_text("port 5432 of a database with a long name is held");
        auto narrow = kReader;
        narrow.columns = 46;
        const char* expected =
            R"(Slipway 0.1.0   running, 3 containers
          up 2 h 14 min
Engine    Docker 26.1.5, API 1.45, overlay2
          /_ping 0.3 ms, 2 s ago
Endpoint  unix:///home/ann/.slipway/docker.sock
          context slipway (not current)
Machine   sandbox, root, cgroup v2,
          10.213.7.0/24
          412 MB memory, 1.8 GB disk
Files     direct: native speed, no confinement
          (see SECURITY); fuse available
          2 folders in use: ~/shop
          (2 containers), /home/anna/site (1)
Network   egress nat, name server 10.0.0.2
Memory    Bridge 21 MB, Desktop not running
          (no display)
Warnings  1  port 5432 of a database with a
             long name is held
             -> stop postgres, or publish
                another port, then: docker
                restart db
)";
        QCOMPARE(QString::fromStdString(statusText(state, narrow)), QString(expected));
    }

    void everyLineFitsEightyColumns()
    {
        auto state = runningState();
        state.mutable_endpoint()->set_url("unix:///home/ann/projects/slipway/docker.sock");
        state.mutable_endpoint()->set_context("slipway-projects");
        state.mutable_files()->set_mode("fuse");
        state.mutable_files()->set_other_mode("direct");
        auto terminal = kReader;
        terminal.columns = 80;
        for (const auto& line : QString::fromStdString(statusText(state, terminal)).split('\n'))
            QVERIFY2(line.size() <= 80, qPrintable(line));
    }

    void saysWhatEachFilesModeConfines_data()
    {
        QTest::addColumn<QString>("mode");
        QTest::addColumn<QString>("other");
        QTest::addColumn<QString>("refusal");
        QTest::addColumn<QString>("row");
        QTest::newRow("direct")
            << "direct"
            << "fuse"
            << ""
            << "direct: native speed, no confinement (see SECURITY); fuse available\n";
        QTest::newRow("fuse")
            << "fuse"
            << "direct"
            << ""
            << "fuse: only folders once bind-mounted (see SECURITY); direct available\n";
        QTest::newRow("no fuse") << "direct"
                                 << "fuse"
                                 << "the kernel has no FUSE; modprobe fuse"
                                 << "direct: native speed, no confinement (see SECURITY); no fuse: "
                                    "the kernel has no FUSE; modprobe fuse\n";
    }
    void saysWhatEachFilesModeConfines()
    {
        QFETCH(QString, mode);
        QFETCH(QString, other);
        QFETCH(QString, refusal);
        QFETCH(QString, row);
        auto state = runningState();
        state.mutable_files()->set_mode(mode.toStdString());
        state.mutable_files()->set_other_mode(other.toStdString());
        state.mutable_files()->set_other_refusal(refusal.toStdString());
        auto text = QString::fromStdString(statusText(state, kReader));
        QVERIFY2(text.contains("\nFiles     " + row), qPrintable(text));
        auto shares = QString::fromStdString(sharesText(state, kReader));
        QVERIFY2(shares.startsWith(row), qPrintable(shares));
    }

    void namesTheTroubleAndItsAge()
    {
        v1::State state;
        state.set_version("0.1.0");
        state.set_condition(v1::CONDITION_TROUBLE);
        state.set_reason("dockerd does not answer");
        state.set_since_unix_ms(kNow - 5000);
        QCOMPARE(QString::fromStdString(statusText(state, kReader)),
                 QString("Slipway 0.1.0   trouble: dockerd does not answer       for 5 s\n"));
    }

    void whatIsBeingDoneIsSaidOnce()
    {
        v1::State state;
        state.set_condition(v1::CONDITION_STARTING);
        state.set_reason("starting the engine");
        QCOMPARE(conditionText(state), std::string("starting the engine"));
        state.set_reason("waiting for the agent");
        QCOMPARE(conditionText(state), std::string("starting: waiting for the agent"));
    }

    void aDegradedEngineSaysWhy()
    {
        auto state = runningState();
        state.set_condition(v1::CONDITION_DEGRADED);
        state.set_reason("port 5432 of db is not published");
        auto text = QString::fromStdString(statusText(state, kReader));
        QVERIFY2(text.startsWith("Slipway 0.1.0   degraded, 3 containers: port 5432 of db is not "
                                 "published  up 2 h"),
                 qPrintable(text));
    }

    void theContextIsCurrentOnlyWithoutDockerHost()
    {
        auto state = runningState();
        Surroundings around;
        around.currentContext = "slipway";
        addSurroundings(state, around);
        QVERIFY(state.endpoint().context_current());
        around.dockerHost = state.endpoint().url();
        addSurroundings(state, around);
        QVERIFY(!state.endpoint().context_current());
        for (const auto& warning : state.warnings())
            QVERIFY(!warning.text().starts_with("DOCKER_HOST"));
    }

    void showsFourFoldersAndWhereTheRestIs()
    {
        auto state = runningState();
        for (int i = 0; i < 5; ++i)
            state.mutable_files()->add_folders()->set_host_path("/srv/" + std::to_string(i));
        auto text = QString::fromStdString(statusText(state, kReader));
        QVERIFY2(text.contains("7 folders in use: ") &&
                     text.contains("/srv/1 (0), all of them: slipway shares"),
                 qPrintable(text));
        QVERIFY(!text.contains("/srv/2"));
    }

    void listsPortsWithTheirRemedies()
    {
        QCOMPARE(
            QString::fromStdString(portsText(runningState(), kReader)),
            QString("127.0.0.1:8080  -> web:80    for 1 min 5 s, 3.1 MB\n"
                    "[::1]:5432      -> db:5432   REFUSED: held by postgres (pid 812)\n"
                    "   -> stop postgres, or publish another port, then: docker restart db\n"));
        auto without = runningState();
        without.clear_ports();
        QCOMPARE(portsText(without, kReader), std::string("no ports are published\n"));
        without.set_condition(v1::CONDITION_STOPPED);
        QCOMPARE(portsText(without, kReader),
                 std::string("no ports are published: the engine is not running (stopped)\n"));
    }

    void listsSharesWithTheirContainers()
    {
        QCOMPARE(QString::fromStdString(sharesText(runningState(), kReader)),
                 QString("direct: native speed, no confinement (see SECURITY); fuse available\n"
                         "~/shop           web, db\n/home/anna/site  web\n"));
        auto without = runningState();
        without.mutable_files()->clear_folders();
        QCOMPARE(sharesText(without, kReader), std::string("no host folders are in use\n"));
    }

    void everyConditionHasItsExitCode_data()
    {
        QTest::addColumn<int>("condition");
        QTest::addColumn<int>("exitCode");
        QTest::newRow("running") << int(v1::CONDITION_RUNNING) << 0;
        QTest::newRow("stopped") << int(v1::CONDITION_STOPPED) << 3;
        QTest::newRow("stopping") << int(v1::CONDITION_STOPPING) << 3;
        QTest::newRow("starting") << int(v1::CONDITION_STARTING) << 4;
        QTest::newRow("degraded") << int(v1::CONDITION_DEGRADED) << 4;
        QTest::newRow("trouble") << int(v1::CONDITION_TROUBLE) << 5;
        QTest::newRow("unspecified") << int(v1::CONDITION_UNSPECIFIED) << 5;
    }
    void everyConditionHasItsExitCode()
    {
        QFETCH(int, condition);
        QFETCH(int, exitCode);
        QCOMPARE(exitCodeOf(static_cast<v1::Condition>(condition)), exitCode);
    }

    void sizesAndTimesReadWell()
    {
        QCOMPARE(sizeText(999), std::string("999 B"));
        QCOMPARE(sizeText(3'140'000), std::string("3.1 MB"));
        QCOMPARE(sizeText(9'960'000), std::string("10 MB"));
        QCOMPARE(sizeText(999'700'000), std::string("1.0 GB"));
        QCOMPARE(durationText(-5), std::string("0 s"));
        QCOMPARE(durationText(59'999), std::string("59 s"));
        QCOMPARE(durationText(60'000), std::string("1 min 0 s"));
        QCOMPARE(durationText(26LL * 3600 * 1000), std::string("1 d 2 h"));
        QCOMPARE(shortened("starting: …", 20), std::string("starting: …"));
        QCOMPARE(shortened("ärger", 4), std::string("ärg…"));
        QCOMPARE(wrapped("a bb  ccc", 5, 2), std::string("a bb\n  ccc"));
        QCOMPARE(wrapped("abc 89 MB", 7, 2), std::string("abc\n  89 MB"));
        QCOMPARE(wrapped("longerthanthat b", 5, 1), std::string("longerthanthat\n b"));
        QCOMPARE(shellQuoted("it's"), std::string("'it'\\''s'"));
    }
};

QTEST_APPLESS_MAIN(TestStatusText)
#include "tst_status_text.moc"
