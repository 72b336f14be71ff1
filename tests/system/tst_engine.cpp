// What a developer does all day, through docker's command line and a real engine.
#include <QtTest>

#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

class TestEngine : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    // With wait_for CONDITION…, which is looked at again and again, for 20 s at most.
    Output shell(const std::string& script, std::chrono::seconds limit = std::chrono::seconds(120))
    {
        return m_slipway->shell(
            "wait_for() { i=0; until \"$@\"; do i=$((i+1)); [ $i -lt 400 ] || return 1; sleep "
            "0.05; "
            "done; }\n" +
                script,
            limit);
    }
    // A terminal for `command`, whose keyboard is descriptor 3 and whose screen is the file
    // `screen`.
    static std::string onATerminal(const std::string& command)
    {
        return "rm -f keys screen; mkfifo keys; script -qefc 'stty rows 33 cols 101; " + command +
               "' screen < keys > /dev/null & exec 3> keys\n";
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
    }
    void cleanupTestCase() { m_slipway.reset(); }

    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) shell("docker rm -f $(docker ps -aq) 2>/dev/null");
    }

    void runs()
    {
        Output hi = docker({"run", "--rm", "box", "echo", "hi"});
        EXIT_0(hi);
        QCOMPARE(hi.out, std::string("hi\n"));
        QCOMPARE(docker({"run", "--rm", "box", "sh", "-c", "exit 7"}).exitCode, 7);
    }

    void runsOnATerminal()
    {
        // The container must see a terminal of the same size, and one that grows with ours.
        Output output = shell(onATerminal("docker run --rm -it box sh") +
                              "printf 'stty size; tty\\r' >&3; wait_for grep -q /dev/pts/0 screen\n"
                              "wait_for grep -q '33 101' screen && printf 'exit 5\\r' >&3\n"
                              "wait $!; echo exit $?; cat screen");
        QVERIFY2(output.out.starts_with("exit 5\n"), output.out.c_str());
    }

    void outputGoesOnAfterInputHasEnded()
    {
        Output output = shell(
            "printf 'one\\ntwo\\n' | docker run --rm -i box sh -c 'cat; sleep 0.3; echo three'");
        QCOMPARE(output.out, std::string("one\ntwo\nthree\n"));
    }

    void execs()
    {
        EXIT_0(docker({"run", "-d", "--name", "worker", "box", "sleep", "1000"}));
        Output output = shell("echo from-host | docker exec -i worker sh -c 'cat; id -u'");
        QCOMPARE(output.out, std::string("from-host\n0\n"));
        QCOMPARE(docker({"exec", "worker", "false"}).exitCode, 1);
    }

    void execsOnATerminal()
    {
        EXIT_0(docker({"run", "-d", "--name", "worker", "box", "sleep", "1000"}));
        Output output = shell(onATerminal("docker exec -it worker sh") +
                              "printf 'stty size; tty\\r' >&3; wait_for grep -q /dev/pts/0 screen\n"
                              "wait_for grep -q '33 101' screen && printf 'exit 6\\r' >&3\n"
                              "wait $!; echo exit $?; cat screen");
        QVERIFY2(output.out.starts_with("exit 6\n"), output.out.c_str());
    }

    void attachesUntilTheContainerEnds()
    {
        EXIT_0(docker({"run", "-d", "--name", "talker", "box", "sh", "-c",
                       "until [ -e /go ]; do echo waiting; sleep 0.1; done; echo gone; exit 3"}));
        Output output = shell(
            "docker attach --no-stdin talker > said & "
            "wait_for grep -q waiting said; docker exec talker touch /go; "
            "wait $!; echo exit $?; tail -n 1 said");
        QCOMPARE(output.out, std::string("exit 3\ngone\n"));
    }

    void detachesByItsKeys()
    {
        // Once the container is heard, docker has made the terminal raw, and ^Q arrives.
        EXIT_0(docker({"run", "-dit", "--name", "talker", "box", "sh", "-c",
                       "while :; do echo tick; sleep 0.1; done"}));
        Output output = shell(onATerminal("docker attach talker") +
                              "wait_for grep -q tick screen; printf '\\020\\021' >&3\n"
                              "wait $!; cat screen");
        QVERIFY2(output.out.find("read escape sequence") != std::string::npos, output.out.c_str());
        QCOMPARE(docker({"inspect", "-f", "{{.State.Running}}", "talker"}).out,
                 std::string("true\n"));
    }

    void theEndOfInputReachesAnAttachedContainer()
    {
        EXIT_0(docker({"create", "-i", "--name", "reader", "box", "sh", "-c", "cat; echo ended"}));
        Output output = shell("echo hello | docker start -ai reader");
        QCOMPARE(output.out, std::string("hello\nended\n"));
    }

    void followsLogs()
    {
        EXIT_0(docker({"run", "-d", "--name", "teller", "box", "sh", "-c",
                       "for i in 1 2 3; do echo line $i; sleep 0.2; done"}));
        Output output = shell("timeout 20 docker logs -f teller");
        QCOMPARE(output.out, std::string("line 1\nline 2\nline 3\n"));
    }

    void theAgentsDeathEndsOnlyWhatItRelays()
    {
        EXIT_0(docker({"run", "-d", "--name", "held", "box", "sleep", "1000"}));
        pid_t agent = m_slipway->pidInMachine("slipway-agent");
        QVERIFY(agent > 0);
        Output output = shell(
            "(wait_for test -e killed; echo late) | docker exec -i held cat & "
            "wait_for eval \"docker top held | grep -qw cat\"; kill -9 " +
            std::to_string(agent) + "; touch killed; wait $!");
        bool relayed = qEnvironmentVariableIsSet("SLIPWAY_STREAMS");
        QCOMPARE(output.out, std::string(relayed ? "" : "late\n"));
        QVERIFY(eventually([&] { return docker({"ps"}).exitCode == 0; }));
    }

    void copiesBothWays()
    {
        EXIT_0(docker({"run", "-d", "--name", "keeper", "box", "sleep", "1000"}));
        EXIT_0(shell("head -c 3000000 /dev/urandom > blob; docker cp blob keeper:/blob"));
        EXIT_0(shell("docker cp keeper:/blob back && cmp blob back"));
    }

    void copiesArchivesThroughPipes()
    {
        EXIT_0(docker({"run", "-d", "--name", "keeper", "box", "sleep", "1000"}));
        EXIT_0(
            shell("mkdir -p in out; head -c 3000000 /dev/urandom > in/blob; chmod 640 in/blob; "
                  "tar -c --owner=7 --group=8 in | docker cp -a - keeper:/tmp"));
        QCOMPARE(docker({"exec", "keeper", "stat", "-c", "%a %u %g", "/tmp/in/blob"}).out,
                 std::string("640 7 8\n"));
        EXIT_0(shell("docker cp keeper:/tmp/in - | tar -xC out && cmp in/blob out/in/blob"));
    }

    void buildsWithBuildKit()
    {
        EXIT_0(
            shell("mkdir -p b; printf 'FROM box\nCOPY x /x\nRUN cat /x > /y\n' > b/Dockerfile; "
                  "echo content > b/x"));
        Output output = shell("docker buildx build --progress plain --load -t built b");
        EXIT_0(output);
        QVERIFY2(output.err.find("[internal] load build definition") != std::string::npos,
                 output.err.c_str());
        QCOMPARE(docker({"run", "--rm", "built", "cat", "/y"}).out, std::string("content\n"));
    }

    void buildsFromAHostsFolderIntoOne()
    {
        // The context and what is built both travel over the client's session.
        EXIT_0(
            shell("mkdir -p src; echo 'echo built by $(cat /o/name)' > src/tool; "
                  "printf 'FROM box AS make\nARG WHO\n"
                  "RUN --mount=type=bind,target=/src cp /src/tool /tool && echo $WHO > /name\n"
                  "FROM scratch\nCOPY --from=make /tool /name /\n' > src/Dockerfile; "
                  "docker buildx build --build-arg WHO=kit -o made src"));
        QCOMPARE(shell("docker run --rm -v \"$PWD/made:/o\" box sh /o/tool").out,
                 std::string("built by kit\n"));
    }

    void keepsVolumes()
    {
        EXIT_0(docker({"volume", "create", "store"}));
        EXIT_0(docker({"run", "--rm", "-v", "store:/d", "box", "sh", "-c", "echo kept > /d/f"}));
        QCOMPARE(docker({"run", "--rm", "-v", "store:/d", "box", "cat", "/d/f"}).out,
                 std::string("kept\n"));
        EXIT_0(docker({"volume", "rm", "store"}));
    }

    void resolvesNamesOnANetwork()
    {
        EXIT_0(docker({"network", "create", "net"}));
        EXIT_0(docker({"run", "-d", "--name", "peer", "--network", "net", "box", "sleep", "1000"}));
        EXIT_0(docker({"run", "--rm", "--network", "net", "box", "ping", "-c1", "-W5", "peer"}));
        EXIT_0(docker({"rm", "-f", "peer"}));
        EXIT_0(docker({"network", "rm", "net"}));
    }

    void tellsEventsAsTheyHappen()
    {
        Output output = shell(
            "docker events --filter type=container --format '{{.Action}}' > events & "
            // The first one may begin before anybody listens.
            "until grep -q create events && grep -q destroy events; do docker run --rm box true || "
            "break; done; "
            "kill -KILL $!; cat events");
        for (const char* action : {"create", "start", "die", "destroy"})
            QVERIFY2(output.out.find(action) != std::string::npos, output.out.c_str());
    }

    void composes()
    {
        EXIT_0(shell(
            "mkdir -p c/site; echo composed > c/site/index.html; cat > c/compose.yaml <<'Y'\n"
            "services:\n"
            "  web:\n"
            "    image: box\n"
            "    command: httpd -f -p 80 -h /site\n"
            "    init: true\n"
            "    volumes: ['./site:/site']\n"
            "    ports: ['127.0.0.1:0:80']\n"
            "    healthcheck: {test: wget -qO- http://127.0.0.1/, interval: 1s, retries: 30}\n"
            "  client:\n"
            "    image: box\n"
            "    command: sh -c 'wget -qO /data/got http://web/'\n"
            "    volumes: ['data:/data']\n"
            "    depends_on: {web: {condition: service_healthy}}\n"
            "volumes: {data: {}}\n"
            "Y\n"));
        EXIT_0(shell("cd c && docker compose up -d"));
        // The client came after the server was well, and found it by its name.
        QCOMPARE(
            shell("docker wait c-client-1 >&2; docker run --rm -v c_data:/d box cat /d/got").out,
            std::string("composed\n"));
        Output port = shell("cd c && docker compose port web 80");
        int number = std::stoi(port.out.substr(port.out.rfind(':') + 1));
        auto served = [&] { return httpGet("127.0.0.1", number).value_or(""); };
        QVERIFY(eventually([&] { return served() == "composed\n"; }));
        EXIT_0(shell("echo edited > c/site/index.html"));
        QCOMPARE(served(), std::string("edited\n"));
        EXIT_0(shell("cd c && docker compose down -v"));
        QVERIFY(eventually([&] { return served().empty(); }));
        QCOMPARE(
            shell("docker volume ls -q -f name=c_data; docker network ls -q -f name=c_default").out,
            std::string());
        QCOMPARE(docker({"ps", "-aq"}).out, std::string());
    }

    void limitsMemory()
    {
        Output output = docker({"run", "--rm", "--memory", "64m", "box", "sh", "-c",
                                "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || "
                                "cat /sys/fs/cgroup/memory.max"});
        QCOMPARE(output.out, std::string("67108864\n"));
    }

    void runsPrivileged()
    {
        EXIT_0(docker({"run", "--rm", "--privileged", "box", "sh", "-c",
                       "mount -t tmpfs x /tmp && umount /tmp"}));
        // All there is, also on a host that lacks some.
        QCOMPARE(
            docker({"run", "--rm", "--privileged", "box", "grep", "CapBnd", "/proc/self/status"})
                .out,
            shell("grep CapBnd /proc/self/status").out);
    }

    void runsDockerInDocker()
    {
        if (auto why = whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
        // The machine's own root file system holds an engine: a container of it is Docker in
        // Docker.
        Output output = m_slipway->shell(
            "set -e; tar -C \"$SLIPWAY_ROOTFS\" --exclude=./proc --exclude=./sys --exclude=./dev "
            "-c . | "
            "docker import - dind >/dev/null; tar -C /bin -c busybox > bb.tar; "
            "docker run --rm --privileged -v $PWD/bb.tar:/bb.tar -v dind-data:/var/lib/docker "
            "-v \"$SLIPWAY_CLI/../libexec/docker\":/usr/bin/docker:ro dind "
            "sh -c 'mkdir -p /proc /sys /dev /run; (dockerd >/tmp/log 2>&1 &); i=0; "
            "until docker version >/dev/null 2>&1; do i=$((i+1)); [ $i -gt 300 ] && "
            "{ tail -5 /tmp/log; exit 1; }; sleep 0.1; done; "
            "docker import - inner < /bb.tar >/dev/null; docker run --rm --network none inner "
            "/busybox echo nested'",
            std::chrono::seconds(180));
        QVERIFY2(output.out.find("nested\n") != std::string::npos,
                 (output.out + output.err).c_str());
    }

    void runsASwarmServiceWithAVolume()
    {
        if (auto why = whyNoSlipway({"nat"}); !why.empty()) QSKIP(why.c_str());
        EXIT_0(docker({"swarm", "init", "--advertise-addr", "127.0.0.1"}));
        EXIT_0(docker({"service", "create", "-d", "--name", "svc", "--mount",
                       "type=volume,source=svc-data,target=/d", "box", "sh", "-c",
                       "echo from-service > /d/f; sleep 1000"}));
        QVERIFY(eventually(
            [&] {
                return docker({"service", "ls", "--format", "{{.Replicas}}"}).out == "1/1\n";
            },
            std::chrono::seconds(60)));
        QCOMPARE(docker({"run", "--rm", "-v", "svc-data:/d", "box", "cat", "/d/f"}).out,
                 std::string("from-service\n"));
        EXIT_0(docker({"service", "rm", "svc"}));
        EXIT_0(docker({"swarm", "leave", "--force"}));
        // Live-restore is back: the engine's death leaves containers running again.
        QVERIFY(eventually([&] {
            return docker({"info", "--format", "{{.LiveRestoreEnabled}}"}).out == "true\n";
        }));
    }
};

QTEST_GUILESS_MAIN(TestEngine)
#include "tst_engine.moc"
