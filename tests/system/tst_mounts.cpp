// Volumes, mounts and services as Docker's documentation describes them: one test a line of it.
#include <QtTest>

#include <fstream>

#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

#define SAYS(output, text)                                                    \
    do {                                                                      \
        const Output& output_ = (output);                                     \
        QVERIFY2((output_.out + output_.err).find(text) != std::string::npos, \
                 (output_.out + output_.err).c_str());                        \
    } while (false)

class TestMounts : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    Output shell(const std::string& script)
    {
        return m_slipway->shell(script, std::chrono::seconds(240));
    }
    fs::path work(const std::string& name) const { return m_slipway->workDir() / name; }
    Output create(const std::string& mounts)
    {
        return shell("docker create " + mounts + " box true");
    }
    // In a container, as people run them; it stays for later tests.
    bool startPlugin()
    {
        Output started = shell(
            "docker container inspect plugin >/dev/null 2>&1 || docker run -d --name plugin "
            "--privileged -v /run/docker/plugins:/run/docker/plugins "
            "-v /run/share:/run/share:rshared -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro "
            "-v " VOLUME_PLUGIN
            ":/volume_plugin.py:ro box /usr/bin/python3 /volume_plugin.py "
            "/run/docker/plugins/share.sock /run/share; "
            // dockerd waits for it, and a swarm then knows of it.
            "docker volume create -d share first && docker volume rm first");
        if (started.exitCode != 0) std::fprintf(stderr, "plugin: %s\n", started.err.c_str());
        return started.exitCode == 0;
    }

private slots:
    void initTestCase()
    {
        bool overFuse = qEnvironmentVariable("SLIPWAY_FILES") == "fuse";
        auto why = overFuse ? whyNoSlipway({"fuse"}) : whyNoSlipway();
        if (!why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        // A place whose later mounts the machine can see, whatever the host's / is.
        fs::path work = m_slipway->workDir();
        QCOMPARE(::mount(work.c_str(), work.c_str(), nullptr, MS_BIND, nullptr), 0);
        QCOMPARE(::mount(nullptr, work.c_str(), nullptr, MS_SHARED, nullptr), 0);
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        EXIT_0(shell(
            "docker run --name seed box sh -c 'mkdir /data; echo image > /data/f; "
            "chown 1234:5678 /data/f; chmod 640 /data/f; chown 4321 /data; chmod 750 /data' && "
            "docker commit seed filled && docker rm seed"));
    }
    void cleanupTestCase()
    {
        if (!m_slipway) return;
        fs::path work = m_slipway->workDir();
        m_slipway->slipway({"stop"});
        ::umount2(work.c_str(), MNT_DETACH);
        m_slipway.reset();
    }
    void cleanup()
    {
        if (!m_slipway) return;
        if (QTest::currentTestFailed()) m_slipway->tellLogs();
        shell(
            "docker rm -fv $(docker ps -a --format '{{.Names}}' | grep -vx plugin) 2>/dev/null; "
            "docker volume prune -af");
    }

    void bothSpellingsMakeAMissingVolume()
    {
        Output all = shell(
            "set -e; show() { docker inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Source}} "
            "{{.Destination}} {{.Driver}} {{.RW}} {{.Propagation}}|{{end}}' $1; }; "
            "docker create --name one -v fresh:/x box >/dev/null; show one; docker rm one "
            ">/dev/null; "
            "docker volume rm fresh >/dev/null; "
            "docker create --name two --mount type=volume,source=fresh,target=/x box >/dev/null; "
            "show two");
        EXIT_0(all);
        std::string one = "volume fresh /var/lib/docker/volumes/fresh/_data /x local true |\n";
        QCOMPARE(all.out, one + one);
    }

    void bothSpellingsOfABindAreInspectedAlike()
    {
        Output all = shell(
            "set -e; mkdir -p alike; docker create --name one -v $PWD/alike:/x:ro box >/dev/null; "
            "docker create --name two --mount type=bind,src=$PWD/alike,dst=/x,ro box >/dev/null; "
            "for c in one two; do docker inspect -f '{{range .Mounts}}{{.Type}} {{.Source}} "
            "{{.Destination}} {{.RW}} {{.Propagation}}{{end}}' $c; done");
        EXIT_0(all);
        std::string one = "bind " + work("alike").string() + " /x false rprivate\n";
        QCOMPARE(all.out, one + one);
    }

    void keysOfMountsAreFree_data()
    {
        QTest::addColumn<QString>("mount");
        for (const char* mount : {"type=bind,source=$PWD/keys,target=/x,readonly",
                                  "dst=/x,readonly,src=$PWD/keys,type=bind",
                                  "destination=/x,type=bind,ro=true,source=$PWD/keys",
                                  "ro,target=/x,src=$PWD/keys,type=bind"})
            QTest::newRow(mount) << mount;
    }
    void keysOfMountsAreFree()
    {
        QFETCH(QString, mount);
        Output seen =
            shell("mkdir -p keys; docker create --name keyed --mount " + mount.toStdString() +
                  " box >/dev/null && docker inspect -f '{{range .Mounts}}{{.Source}} "
                  "{{.Destination}} {{.RW}}{{end}}' keyed");
        QCOMPARE(seen.out, work("keys").string() + " /x false\n");
    }

    void anEmptyVolumeIsFilled()
    {
        Output seen = shell(
            "for i in 1 2; do docker run --rm -v fill:/data filled stat -c '%a %u %g %n' /data "
            "/data/f; done; docker run --rm -v fill:/other box cat /other/f");
        EXIT_0(seen);
        std::string one = "750 4321 0 /data\n640 1234 5678 /data/f\n";
        QCOMPARE(seen.out, one + one + "image\n");
    }

    void nocopyLeavesItEmpty()
    {
        Output seen = shell(
            "docker run --rm -v n1:/data:nocopy filled ls -A /data; "
            "docker run --rm --mount type=volume,src=n2,dst=/data,volume-nocopy filled ls -A "
            "/data");
        EXIT_0(seen);
        QCOMPARE(seen.out, std::string());
    }

    void whatIsMountedHidesTheImagesFiles()
    {
        Output seen = shell(
            "set -e; docker run --rm -v full:/d box touch /d/own; mkdir -p hide; touch hide/host; "
            "docker run --rm -v full:/data filled ls -A /data; "
            "docker run --rm -v $PWD/hide:/data filled ls -A /data; "
            "docker run --rm filled ls -A /data");
        EXIT_0(seen);
        QCOMPARE(seen.out, std::string("own\nhost\nf\n"));
    }

    void aMissingBindIsMade_data()
    {
        QTest::addColumn<QString>("name");
        QTest::newRow("folder") << "made/deep";
        QTest::newRow("named as a file") << "made.conf";
    }
    void aMissingBindIsMade()
    {
        QFETCH(QString, name);
        fs::path path = work(name.toStdString());
        EXIT_0(docker({"run", "--rm", "-v", path.string() + ":/x", "box", "test", "-d", "/x"}));
        struct stat facts {};
        QCOMPARE(::stat(path.c_str(), &facts), 0);
        QVERIFY(S_ISDIR(facts.st_mode));
        QCOMPARE(facts.st_uid, ::geteuid());
    }

    void aMissingMountIsRefusedAsSpelled()
    {
        Output refused = create("--mount type=bind,source=$PWD/./nope,target=/x");
        QVERIFY(refused.exitCode != 0);
        SAYS(refused, "invalid mount config for type \"bind\": bind source path does not exist: " +
                          work("./nope").string());
        QVERIFY(!fs::exists(work("nope")));
    }

    void aMountMayAskForItsSource()
    {
        Output made = shell(
            "curl -sS --unix-socket $SLIPWAY_HOME/docker.sock -H 'Content-Type: application/json' "
            "-d '{\"Image\":\"box\",\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"'"
            "$PWD'/asked\",\"Target\":\"/x\",\"BindOptions\":{\"CreateMountpoint\":true}}]}}' "
            "http://d/v1.45/containers/create");
        SAYS(made, "\"Id\":");
        QVERIFY(fs::is_directory(work("asked")));
    }

    void malformedSourcesAreRefused_data()
    {
        QTest::addColumn<QString>("mounts");
        QTest::addColumn<QString>("words");
        QTest::newRow("relative mount")
            << "--mount type=bind,source=nope,target=/x"
            << "invalid mount config for type \"bind\": invalid mount path: 'nope' mount path must "
               "be absolute";
        QTest::newRow("relative destination")
            << "-v $PWD:x"
            << "invalid mount path: 'x' mount path must be absolute";
        QTest::newRow("mode") << "-v $PWD/link:/x:nonsense"
                              << "invalid mode: nonsense";
        QTest::newRow("name") << "-v 'a^b:/x'"
                              << "includes invalid characters for a local volume name";
        QTest::newRow("root") << "-v $PWD:/"
                              << "destination can't be '/'";
        QTest::newRow("twice") << "-v $PWD:/x -v $PWD/..:/x"
                               << "Duplicate mount point: /x";
        QTest::newRow("pipe") << "--mount 'type=npipe,source=\\\\.\\pipe\\x,target=\\\\.\\pipe\\x'"
                              << "named pipes are for Windows containers";
        QTest::newRow("label in a mount") << "--mount type=bind,source=$PWD,target=/x,z"
                                          << "invalid field 'z'";
        QTest::newRow("propagation of a volume") << "-v vol:/x:rshared"
                                                 << "field BindOptions must not be specified";
        QTest::newRow("propagation of a volume's mount")
            << "--mount type=volume,source=vol,target=/x,bind-propagation=rshared"
            << "cannot mix";
    }
    void malformedSourcesAreRefused()
    {
        QFETCH(QString, mounts);
        QFETCH(QString, words);
        Output refused = create(mounts.toStdString());
        QVERIFY2(refused.exitCode != 0, refused.out.c_str());
        SAYS(refused, words.toStdString());
        QVERIFY2((refused.out + refused.err).find("/mnt/host") == std::string::npos,
                 refused.err.c_str());
    }

    void errorsNameThePathAsSpelled()
    {
        Output refused = shell(
            "mkdir -p real; ln -sfn real link; "
            "docker create -v $PWD/link:/ box true");
        SAYS(refused, "'" + work("link").string() + ":/'");
    }

    void labelsAndConsistencyAreTaken_data()
    {
        QTest::addColumn<QString>("mode");
        for (const char* mode : {"z", "Z", "cached", "delegated", "consistent", "ro,z"})
            QTest::newRow(mode) << mode;
    }
    void labelsAndConsistencyAreTaken()
    {
        QFETCH(QString, mode);
        fs::create_directories(work("label"));
        auto attributes = [&] { return shell("ls -dZ label").out; };
        std::string before = attributes();
        EXIT_0(docker({"run", "--rm", "-v", work("label").string() + ":/x:" + mode.toStdString(),
                       "box", "test", "-d", "/x"}));
        QCOMPARE(attributes(), before);
    }

    void consistencyIsTakenInMounts()
    {
        EXIT_0(create("--mount type=bind,source=$PWD,target=/x,consistency=cached"));
    }

    void tmpfsHasSizeAndMode()
    {
        Output seen = shell(
            "docker run --rm --mount type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1750 box "
            "sh -c 'stat -c %a /t; df -k /t | tail -1 | awk \"{print \\$2}\"; "
            "grep -c \"^tmpfs /t \" /proc/mounts'");
        QCOMPARE(seen.out, std::string("1750\n1024\n1\n"));
    }

    void mountsTravelAsPropagationSays_data()
    {
        QTest::addColumn<QString>("mode");
        QTest::addColumn<bool>("in");
        QTest::addColumn<bool>("out");
        QTest::newRow("private") << "private" << false << false;
        QTest::newRow("rprivate") << "rprivate" << false << false;
        QTest::newRow("shared") << "shared" << true << true;
        QTest::newRow("rshared") << "rshared" << true << true;
        QTest::newRow("slave") << "slave" << true << false;
        QTest::newRow("rslave") << "rslave" << true << false;
    }
    void mountsTravelAsPropagationSays()
    {
        QFETCH(QString, mode);
        QFETCH(bool, in);
        QFETCH(bool, out);
        Output seen = shell(
            "set -e; mkdir -p travel/in/a travel/out/a; "
            "docker run -d --privileged --name other -v $PWD/travel:/s:rshared box sleep 1000 "
            ">/dev/null; "
            "docker run -d --privileged --name own -v $PWD/travel:/s:" +
            mode.toStdString() +
            " box sleep 1000 >/dev/null; "
            "docker inspect -f '{{range .Mounts}}{{.Propagation}}{{end}}' own; "
            // Nested: a mount, and one below it.
            "docker exec other sh -c 'mount -t tmpfs x /s/in && mkdir /s/in/b && mount -t tmpfs x "
            "/s/in/b'; "
            "docker exec own sh -c 'grep -c \" /s/in\" /proc/mounts || true'; "
            "docker exec own sh -c 'mount -t tmpfs x /s/out && mkdir /s/out/b && mount -t tmpfs x "
            "/s/out/b'; "
            "grep -c travel/out /proc/self/mounts || true; "
            "docker exec other sh -c 'grep -c \" /s/out\" /proc/mounts || true; "
            "umount /s/in/b /s/in'; "
            "docker exec own umount /s/out/b /s/out");
        EXIT_0(seen);
        // The host has none of them: that is the 0 in the middle.
        QCOMPARE(seen.out,
                 mode.toStdString() + (in ? "\n2\n" : "\n0\n") + "0\n" + (out ? "2\n" : "0\n"));
    }

    void theDocumentedExampleOfPropagation()
    {
        Output seen = shell(
            "mkdir -p target/foo; docker run --rm --privileged "
            "--mount type=bind,source=$PWD/target,target=/app,bind-propagation=rshared "
            "--mount type=bind,source=$PWD/target,target=/app2,readonly,bind-propagation=rslave "
            "box sh -c 'mount -t tmpfs x /app/foo; touch /app/foo/bar; ls /app2/foo; "
            "touch /app2/x || echo refused; umount /app/foo'");
        SAYS(seen, "bar\nrefused\n");
    }

    void aDiskThatIsPluggedInLaterIsSeen()
    {
        fs::create_directories(work("media/disk"));
        EXIT_0(shell("docker run -d --name late -v $PWD/media:/m:rslave box sleep 1000"));
        QCOMPARE(::mount("x", work("media/disk").c_str(), "tmpfs", 0, nullptr), 0);
        std::ofstream(work("media/disk/f")) << "plugged in\n";
        Output seen = docker({"exec", "late", "cat", "/m/disk/f"});
        QCOMPARE(::umount2(work("media/disk").c_str(), MNT_DETACH), 0);
        QCOMPARE(seen.out, std::string("plugged in\n"));
    }

    void volumesCanBeBindsOfHostFolders()
    {
        Output seen = shell(
            "set -e; mkdir -p realvol; ln -sfn realvol linkvol; echo host > realvol/f; "
            "docker volume create -o type=none -o o=bind -o device=$PWD/linkvol bound; "
            "docker volume inspect -f '{{.Options.device}}' bound; "
            "docker run --rm -v bound:/d box cat /d/f; "
            "docker run --rm --mount \"type=volume,src=bound2,dst=/d,volume-opt=type=none,"
            "volume-opt=o=bind,volume-opt=device=$PWD/linkvol\" box cat /d/f; "
            "curl -sS --unix-socket $SLIPWAY_HOME/docker.sock http://d/volumes; "
            "docker system df -v");
        EXIT_0(seen);
        QVERIFY2(seen.out.starts_with("bound\n" + work("linkvol").string() + "\nhost\nhost\n"),
                 seen.out.c_str());
        QVERIFY(seen.out.find("/mnt/host") == std::string::npos);
    }

    void aVolumesMissingFolderIsNamedWhenItIsUsed()
    {
        Output seen = shell(
            "docker volume create -o type=none -o o=bind -o device=$PWD/absent lost; "
            "docker run --rm -v lost:/d box true");
        QVERIFY(seen.exitCode != 0);
        SAYS(seen, work("absent").string());
        SAYS(seen, "no such file or directory");
        QVERIFY2(seen.err.find("/mnt/host") == std::string::npos, seen.err.c_str());
    }

    void rmKeepsVolumes()
    {
        EXIT_0(shell("docker run --name user -v stay:/d box touch /d/f && docker rm user"));
        QCOMPARE(docker({"run", "--rm", "-v", "stay:/d", "box", "ls", "/d"}).out,
                 std::string("f\n"));
    }

    void servicesHaveVolumesAndBinds()
    {
        EXIT_0(
            shell("mkdir -p srv-real; ln -sfn srv-real srv; docker swarm init --advertise-addr "
                  "127.0.0.1"));
        Output made = shell(
            "docker service create -q --name web --replicas 4 --mount type=volume,target=/own "
            "--mount type=volume,source=named,target=/named "
            "--mount type=bind,source=$PWD/srv,target=/b "
            "box sh -c 'touch /named/f /b/$HOSTNAME; exec sleep 1000'");
        EXIT_0(made);
        Output seen = shell(
            "set -e; docker inspect -f '{{range .Mounts}}{{if eq .Destination \"/own\"}}{{.Name}}"
            "{{end}}{{end}}' $(docker ps -q --filter name=web) | sort -u | wc -l; ls srv-real | wc "
            "-l; "
            "docker service inspect -f '{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}"
            "{{if eq .Target \"/b\"}}{{.Source}}{{end}}{{end}}' web; "
            "docker inspect -f '{{range .Spec.ContainerSpec.Mounts}}{{if eq .Target \"/b\"}}"
            "{{.Source}}{{end}}{{end}}' $(docker service ps -q web | head -1); "
            "docker inspect -f '{{range .Mounts}}{{if eq .Destination \"/b\"}}{{.Source}}{{end}}"
            "{{end}}' $(docker ps -q --filter name=web | head -1)");
        EXIT_0(seen);
        std::string link = work("srv").string() + "\n";
        QCOMPARE(seen.out, "4\n4\n" + link + link + link);

        EXIT_0(
            shell("docker service update -q --replicas 1 --mount-add "
                  "type=bind,source=$PWD/srv,target=/b2 web"));
        Output after = shell(
            "docker service inspect web | grep -o '\"Source\": \"/.*\"' | sort -u; "
            "docker service rm web; docker volume ls -q");
        SAYS(after, "\"Source\": \"" + work("srv").string() + "\"\nweb\n");
        SAYS(after, "named\n");
        QVERIFY2(after.out.find("/mnt/host") == std::string::npos, after.out.c_str());
    }

    void aServicesMissingBindIsToldByItsTask()
    {
        EXIT_0(
            shell("docker service create -d --restart-condition none --name lost --mount "
                  "type=bind,source=$PWD/absent,target=/b box true"));
        std::string words = "bind source path does not exist: " + work("absent").string();
        QVERIFY(eventually(
            [&] {
                return docker({"service", "ps", "--no-trunc", "lost"}).out.find(words) !=
                       std::string::npos;
            },
            std::chrono::seconds(60)));
        EXIT_0(docker({"service", "rm", "lost"}));
    }

    void servicesHaveNoShortFlagForVolumes()
    {
        SAYS(shell("docker service create -v x:/x box true"), "unknown shorthand flag: 'v' in -v");
    }

    void theSwarmIsLeft()
    {
        EXIT_0(docker({"swarm", "leave", "--force"}));
        QVERIFY(eventually([&] {
            return !fs::exists(m_slipway->home().endpointDir() / "services") ||
                   fs::is_empty(m_slipway->home().endpointDir() / "services");
        }));
    }

    void eventsNameNoPathOfTheMachine()
    {
        Output seen = shell(
            "since=$(date +%s); mkdir -p ev; docker volume create -o type=none -o o=bind -o "
            "device=$PWD/ev evol; docker run --rm -v $PWD/ev:/a -v evol:/b box true; "
            "docker volume rm evol; docker events --since $since --until $(($(date +%s)+1)) "
            "--format '{{json .}}'");
        EXIT_0(seen);
        SAYS(seen, "\"Action\":\"unmount\"");
        QVERIFY2(seen.out.find("/mnt/host") == std::string::npos, seen.out.c_str());
    }

    void aMonitorFindsItselfInTheEnginesFiles()
    {
        // As cAdvisor's documentation has it run. Its own file system is there too, with / in it.
        Output seen = shell(
            "docker run --name monitor --device /dev/kmsg -v /:/rootfs:ro -v /var/run:/var/run:ro "
            "-v /sys:/sys:ro -v /var/lib/docker/:/var/lib/docker:ro -v /dev/disk/:/dev/disk:ro box "
            "sh -c 'own() { find $* -type d -name \"$HOSTNAME*\" | sed s,.*/,, | sort -u; }; "
            "own /rootfs/var/lib/docker -xdev; own /var/lib/docker -xdev; own /var/run/docker; "
            "own /sys/fs/cgroup; touch /rootfs/var/lib/docker/x 2>&1'; "
            "docker inspect -f '{{.Id}}' monitor");
        std::string id = seen.out.substr(seen.out.size() < 65 ? 0 : seen.out.size() - 65);
        QCOMPARE(seen.out, id + id + id + id +
                               "touch: /rootfs/var/lib/docker/x: Read-only file system\n" + id);
    }

    void anExporterTellsOfTheMachine()
    {
        // Prometheus's, as its documentation has it run. Overlays, and what is below /run, it
        // would leave out by default.
        EXIT_0(shell(
            "set -e; tar -c -C \"$SLIPWAY_EXPORTER\" prometheus-node-exporter -C / "
            "lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 --dereference | "
            "docker import - exporter; "
            "docker run -d --name exporter --net host --pid host -v /:/host:ro,rslave exporter "
            "/prometheus-node-exporter --path.rootfs=/host "
            "'--collector.filesystem.fs-types-exclude=^proc$' "
            "'--collector.filesystem.mount-points-exclude=^/proc$'; "
            // Another container's mount, later.
            "docker run -d --privileged --name disk -v /run/disks:/run/disks:rshared box "
            "sleep 1000; "
            "docker exec disk sh -c 'mkdir /run/disks/late; "
            "mount -t tmpfs -o size=1m x /run/disks/late'"));
        // Asked from a container's network, as Prometheus asks: the gateway is the machine.
        EXIT_0(
            shell("docker run --rm box sh -c '"
                  "at=$(ip route | sed -n \"s/default via \\([^ ]*\\).*/\\1/p\"); "
                  "for i in $(seq 100); do wget -qO- http://$at:9100/metrics && exit; sleep .1; "
                  "done; exit 1' >metrics"));
        Output told = shell(
            "set -e; docker exec disk umount /run/disks/late; "
            "awk '/^node_memory_MemTotal_bytes / {printf \"%.0f\\n\", $2}' metrics; "
            "grep -c '^node_cpu_seconds_total.*mode=\"idle\"' metrics; "
            "sed -n 's/^node_uname_info{.*nodename=\"\\([^\"]*\\).*/\\1/p' metrics; "
            "sed -n 's/^node_network_info{address=\"\\([^\"]*\\).*device=\"docker0\".*/\\1/p' "
            "metrics");
        Output is = shell(
            "docker info -f '{{.MemTotal}}'; grep -c ^cpu[0-9] /proc/stat; "
            "docker info -f '{{.Name}}'; "
            "docker run --rm --net host box cat /sys/class/net/docker0/address");
        QCOMPARE(told.out, is.out);
        Output mounts = shell(
            "sed -n 's/^node_filesystem_size_bytes{.*mountpoint=\"\\([^\"]*\\)\"}/\\1/p' metrics");
        for (const char* line :
             {"/ ", "/run ", "/var/lib/docker ", "/mnt/host ", "/run/disks/late 1.048576e+06\n"})
            QVERIFY2(has("\n" + mounts.out, std::string("\n") + line), mounts.out.c_str());
        QVERIFY2(!has("\n" + mounts.out, "\n/host"), mounts.out.c_str());
    }

    void anEngineInAContainerRunsAnEngineInAContainer()
    {
        // The machine's own root file system holds an engine. Each level below binds its /usr.
        std::string start =
            "(dockerd --log-level error >/tmp/log 2>&1 &); i=0; until docker version >/dev/null "
            "2>&1; do i=$((i+1)); [ $i -gt 150 ] && { tail -5 /tmp/log; exit 1; }; sleep 0.1; "
            "done; ";
        std::ofstream(work("level2.sh")) << start +
                                                "tar -C /lean -c . | docker import - lean "
                                                ">/dev/null && docker run --rm --network none "
                                                "-v /usr:/usr:ro lean echo nested twice\n";
        std::ofstream(work("level1.sh"))
            << start +
                   "mkdir -p /lean/usr /lean/etc /lean/run /lean/tmp /lean/proc /lean/sys "
                   "/lean/dev; "
                   "for d in bin sbin lib lib64; do ln -s usr/$d /lean/$d; done; "
                   "cp /etc/passwd /etc/group /lean/etc/; "
                   "tar -C /lean -c . | docker import - lean >/dev/null && docker run --rm "
                   "--privileged "
                   "--network none -v /usr:/usr:ro -v /etc/alternatives:/etc/alternatives:ro "
                   "-v /lean:/lean:ro -v /level2.sh:/level2.sh:ro "
                   "-v data:/var/lib/docker lean sh /level2.sh\n";
        Output output = shell(
            "set -e; tar -C \"$SLIPWAY_ROOTFS\" --exclude=./proc --exclude=./sys --exclude=./dev "
            "--exclude=./var/cache --exclude=./usr/share -c . | docker import - dind >/dev/null; "
            "docker run --rm --privileged -v $PWD/level1.sh:/level1.sh:ro "
            "-v $PWD/level2.sh:/level2.sh:ro -v dind-data:/var/lib/docker "
            "-v \"$SLIPWAY_CLI/../libexec/docker\":/usr/bin/docker:ro dind "
            "sh -c 'mkdir -p /proc /sys /dev /run; sh /level1.sh'");
        QVERIFY2(output.out.find("nested twice\n") != std::string::npos,
                 (output.out + output.err).c_str());
    }

    void aPluginsVolumesAreShared()
    {
        QVERIFY(startPlugin());
        Output seen = shell(
            "set -e; show() { docker volume inspect -f '{{.Driver}} {{.Scope}} {{.Options}} "
            "{{.Mountpoint}}' $1; }; "
            "docker volume create -d share -o type=none -o o=bind -o device=$PWD/x made; "
            "show made; "
            "docker run -d --name writer --mount type=volume,volume-driver=share,"
            "volume-opt=key=value,volume-opt=device=$PWD/x,volume-opt=o=bind,src=used,dst=/w "
            "box sleep 1000 >/dev/null; show used; "
            "docker inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Driver}} {{.Destination}}"
            "{{end}} {{range .HostConfig.Mounts}}{{.VolumeOptions.DriverConfig.Options}}{{end}}' "
            "writer; "
            "docker exec writer sh -c 'echo written >/w/f'; "
            // Where the plugin keeps it, and not in the folder that it has mounted that on.
            "docker exec plugin cat /run/share/kept/used/f; "
            "docker run --rm --volume-driver share -v used:/r box cat /r/f; "
            "docker rm -f writer; docker volume rm made used; docker volume ls -q -f driver=share; "
            "docker exec plugin ls /run/share/kept /run/share/mounted");
        EXIT_0(seen);
        std::string path = work("x").string();
        std::string options = "map[device:" + path + " key:value o:bind]";
        QCOMPARE(seen.out, "made\nshare global map[device:" + path +
                               " o:bind type:none] /run/share/mounted/made\nshare global " +
                               options + " /run/share/mounted/used\nvolume used share /w " +
                               options +
                               "\nwritten\nwritten\nwriter\nmade\nused\n/run/share/kept:\n\n/run/"
                               "share/mounted:\n");
        Output calls = docker({"logs", "plugin"});
        for (const std::string& rest :
             {"\"made\",\"Opts\":{\"device\":\"" + path + "\",\"o\":\"bind\",\"type\":\"none\"}}",
              "\"used\",\"Opts\":{\"device\":\"" + path + "\",\"key\":\"value\",\"o\":\"bind\"}}"})
            SAYS(calls, "/VolumeDriver.Create {\"Name\":" + rest);
    }

    void servicesHaveVolumesOfAPlugin()
    {
        QVERIFY(startPlugin());
        EXIT_0(
            shell("docker swarm init --advertise-addr 127.0.0.1; docker service create -q --name "
                  "both --replicas 2 --mount type=volume,volume-driver=share,volume-opt=o=bind,"
                  "volume-opt=device=$PWD/x,src=both,dst=/b box sh -c 'touch /b/$HOSTNAME; exec "
                  "sleep 1000'"));
        QVERIFY(eventually([&] {
            return shell(
                       "for c in $(docker ps -q --filter name=both); do docker exec $c ls /b "
                       "| wc -l; done")
                       .out == "2\n2\n";
        }));
        Output seen = shell(
            "docker service inspect -f '{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}"
            "{{.VolumeOptions.DriverConfig.Name}} {{.VolumeOptions.DriverConfig.Options}}{{end}}' "
            "both; "
            "docker volume inspect -f '{{.Driver}} {{.Options}}' both; docker service rm both");
        std::string one = "share map[device:" + work("x").string() + " o:bind]\n";
        QCOMPARE(seen.out, one + one + "both\n");
        SAYS(docker({"logs", "plugin"}),
             "/VolumeDriver.Create {\"Name\":\"both\",\"Opts\":{\"device\":\"" +
                 work("x").string() + "\",\"o\":\"bind\"}}");
        QVERIFY(eventually(
            [&] {
                return docker({"volume", "rm", "both"}).exitCode == 0;
            },
            std::chrono::seconds(30)));
        EXIT_0(docker({"swarm", "leave", "--force"}));
    }

    void aPluginsErrorsAreTold()
    {
        QVERIFY(startPlugin());
        SAYS(docker({"volume", "create", "-d", "share", "-o", "refuse=no server x", "v"}),
             "create v: no server x");
        EXIT_0(
            shell("docker run --rm --volume-driver share -v left:/l box touch /l/f && "
                  "docker rm -f plugin"));
        // dockerd looks for a plugin for 15 s.
        Output gone =
            shell("docker volume create -d nosuch v & docker run --rm -v left:/l box true; wait");
        SAYS(gone, "create v: error looking up volume plugin nosuch: plugin \"nosuch\" not found");
        SAYS(gone,
             "error while checking if volume \"left\" exists in driver \"share\": Post "
             "\"http://plugin.moby.localhost/VolumeDriver.Get\": dial unix "
             "/run/docker/plugins/share.sock: connect: connection refused");
        QVERIFY(startPlugin());
        Output back = shell("docker run --rm -v left:/l box ls /l && docker volume rm left");
        QCOMPARE(back.out, std::string("f\nleft\n"));
    }
};

QTEST_GUILESS_MAIN(TestMounts)
#include "tst_mounts.moc"
