// Clients other than our own docker: each does what it is used for, against the real engine.
#include <QtTest>

#include <cstdio>
#include <fstream>

#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

namespace {

// With the Python that Debian's packages belong to.
constexpr const char* kPythonClient = R"(
import docker, io, os, tarfile, threading
client = docker.DockerClient(base_url=os.environ["DOCKER_HOST"], timeout=60)
assert client.ping()
seen = []
stream = client.events(decode=True, filters={"type": "container"})
threading.Thread(target=lambda: seen.extend(e["Action"] for e in stream), daemon=True).start()

link = os.path.join(os.getcwd(), "link")
box = client.containers.run("box", "cat", stdin_open=True, detach=True, name="py",
                            volumes={link: {"bind": "/b", "mode": "rw"}})
assert box.attrs["HostConfig"]["Binds"] == [link + ":/b:rw"], box.attrs["HostConfig"]["Binds"]
assert [m["Source"] for m in box.attrs["Mounts"]] == [link]
assert client.containers.list()[0].attrs["Mounts"][0]["Source"] == link
assert box.exec_run("cat /b/f").output == b"from the host\n"
code, output = box.exec_run("sh -c 'echo out; echo err >&2; exit 3'", demux=True)
assert (code, output) == (3, (b"out\n", b"err\n")), (code, output)

socket = box.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
socket._sock.sendall(b"through attach\n")
assert b"through attach" in socket.read(100)
socket.close()

archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("put"); entry.size = 2000000
    tar.addfile(entry, io.BytesIO(bytes(entry.size)))
assert box.put_archive("/tmp", archive.getvalue())
chunks, stat = box.get_archive("/tmp/put")
assert stat["size"] == 2000000 and sum(map(len, chunks)) > 2000000

volume = client.volumes.create("pyvol", driver_opts={"type": "none", "o": "bind", "device": link})
assert volume.attrs["Options"]["device"] == link
assert [m["Source"] for c in client.df()["Containers"] for m in c["Mounts"]] == [link]
image, log = client.images.build(fileobj=io.BytesIO(b"FROM box\nRUN echo built > /x\n"), rm=True)
assert client.containers.run(image.id, "cat /x", remove=True) == b"built\n"
assert [line for line in box.logs(stream=True, follow=False)] == [b"through attach\n"]
try:
    client.containers.create("box", mounts=[docker.types.Mount("/x", link + "/none", type="bind")])
    raise SystemExit("a missing path was taken")
except docker.errors.APIError as error:
    assert error.status_code == 400 and "does not exist: " + link + "/none" in error.explanation
box.remove(force=True)
volume.remove()
stream.close()
assert {"create", "start", "die", "destroy"} <= set(seen), seen
print("all done")
)";

}  // namespace

class TestClients : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

    // As a client that knows nothing of contexts.
    Output shell(const std::string& script)
    {
        return m_slipway->shell(
            "unset DOCKER_CONTEXT; export DOCKER_HOST=" + m_slipway->endpoint() + "; " + script,
            std::chrono::seconds(240));
    }

private slots:
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        QVERIFY(m_slipway->start());
        QVERIFY(m_slipway->makeImage());
        fs::create_directory(m_slipway->workDir() / "real");
        fs::create_directory_symlink("real", m_slipway->workDir() / "link");
        std::ofstream(m_slipway->workDir() / "real/f") << "from the host\n";
    }
    void cleanupTestCase() { m_slipway.reset(); }
    void cleanup()
    {
        if (!m_slipway) return;
        if (QTest::currentTestFailed()) m_slipway->tellLogs();
        shell("docker rm -fv $(docker ps -aq) 2>/dev/null");
    }

    void python()
    {
        std::ofstream(m_slipway->workDir() / "client.py") << kPythonClient;
        Output output = shell("/usr/bin/python3 client.py");
        QVERIFY2(output.out == "all done\n", (output.out + output.err).c_str());
    }

    void npm_data()
    {
        QTest::addColumn<std::string>("client");
        for (const char* client : {"dockerode", "testcontainers"})
            QTest::newRow(client) << std::string(client);
    }
    void npm()
    {
        QFETCH(std::string, client);
        if (shell("test -e \"$SLIPWAY_NODE_CLIENTS/stamp\"").exitCode != 0)
            QSKIP(
                "npm's clients are not here; apt-get install nodejs npm, and tests/run with npm's "
                "registry in reach");
        Output output = shell("timeout 120 node \"$SLIPWAY_NODE_CLIENTS/" + client + ".mjs\"");
        // It is long, of which QVERIFY2 would show the beginning.
        if (output.out != "all done\n") std::fprintf(stderr, "%s\n", output.err.c_str());
        QVERIFY(output.out == "all done\n");
    }

    void compose1()
    {
        if (!fs::exists("/usr/bin/docker-compose"))
            QSKIP(
                "compose 1.29 is not here; apt-get install --no-install-recommends docker-compose");
        std::ofstream(m_slipway->workDir() / "docker-compose.yml")
            << "version: '3'\n"
               "services:\n"
               "  web:\n"
               "    image: box\n"
               "    command: httpd -f -p 80 -h /site\n"
               "    volumes: ['./link:/site', 'data:/data', 'bound:/bound']\n"
               "    ports: ['127.0.0.1:0:80']\n"
               "volumes:\n"
               "  data: {}\n"
               "  bound: {driver_opts: {type: none, o: bind, device: \"$PWD/link\"}}\n";
        Output up = shell("/usr/bin/docker-compose --no-ansi up -d 2>&1");
        QVERIFY2(up.exitCode == 0, up.out.c_str());
        Output seen = shell(
            "/usr/bin/docker-compose exec -T web cat /bound/f; port=$(/usr/bin/docker-compose port "
            "web 80); curl -sS --noproxy '*' --retry 20 --retry-connrefused --retry-delay 1 "
            "http://$port/f; "
            // A second `up` finds nothing to change.
            "/usr/bin/docker-compose --no-ansi up -d 2>&1");
        QVERIFY2(seen.out.find("from the host\nfrom the host\n") != std::string::npos,
                 (seen.out + seen.err).c_str());
        QVERIFY2(seen.out.find("up-to-date") != std::string::npos, seen.out.c_str());
        Output down =
            shell("/usr/bin/docker-compose down -v 2>&1; docker ps -aq; docker volume ls -q");
        QVERIFY2(down.out.find("Removing volume") != std::string::npos, down.out.c_str());
    }

    // A registry in a container, as people have one beside their project; an image of several
    // layers, which travel in pieces; and one that is for Windows alone.
    void pushesAndPulls()
    {
        Output ready = shell(
            "set -e; mkdir registry; cd registry; mkdir -p etc/docker/registry data\n"
            "cp \"$SLIPWAY_REGISTRY/docker-registry\" .\n"
            "cat >config.yml <<. \n"
            "version: 0.1\n"
            "storage: {filesystem: {rootdirectory: /data}}\n"
            "http: {addr: ':5000'}\n.\n"
            "tar -c docker-registry config.yml data -C / lib64/ld-linux-x86-64.so.2 "
            "lib/x86_64-linux-gnu/libc.so.6 --dereference | docker import - registry\n"
            "docker run -d --name registry -p 127.0.0.1::5000 registry /docker-registry serve "
            "/config.yml");
        QVERIFY2(ready.exitCode == 0, (ready.out + ready.err).c_str());
        std::string at = "at=localhost:$(docker port registry 5000 | sed s/.*://); ";
        Output there = shell(
            at +
            "for i in $(seq 100); do curl -sf --noproxy '*' http://$at/v2/ && exit; sleep .1; "
            "done; docker logs registry; exit 1");
        QVERIFY2(there.exitCode == 0, (there.out + there.err).c_str());
        Output moved =
            shell(at +
                  "set -e; printf 'FROM box\\nRUN head -c 20000000 /dev/urandom >/a\\nRUN echo two "
                  ">/b\\n' "
                  "| DOCKER_BUILDKIT=0 docker build -q -t $at/layers - >/dev/null\n"
                  "docker push $at/layers >push; grep digest: push >/dev/null\n"
                  "before=$(docker run --rm $at/layers sha256sum /a)\n"
                  "docker rmi -f $at/layers >/dev/null; docker image prune -f >/dev/null\n"
                  "docker pull $at/layers >pull; grep 'Downloaded newer image' pull >/dev/null\n"
                  "test \"$before\" = \"$(docker run --rm $at/layers sha256sum /a)\"\n"
                  "docker run --rm $at/layers cat /b");
        QVERIFY2(moved.exitCode == 0, (moved.out + moved.err).c_str());
        QCOMPARE(moved.out, std::string("two\n"));
        Output missing = shell(at + "docker pull $at/none");
        QVERIFY(missing.exitCode != 0);
        QVERIFY2(missing.err.find("not found") != std::string::npos, missing.err.c_str());
        // The manifest of what was pushed, in a list that says it is for Windows.
        Output windows = shell(
            at +
            "set -e; type=application/vnd.docker.distribution.manifest; got=$(curl -sf --noproxy "
            "'*' "
            "-H \"Accept: $type.v2+json\" http://$at/v2/layers/manifests/latest)\n"
            "digest=sha256:$(printf %s \"$got\" | sha256sum | cut -d' ' -f1)\n"
            "printf "
            "'{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[{\"mediaType\":\"%s\",'"
            "'\"size\":%d,\"digest\":\"%s\",\"platform\":{\"architecture\":\"amd64\",\"os\":"
            "\"windows\"}}]}' "
            "$type.list.v2+json $type.v2+json ${#got} $digest | curl -sf --noproxy '*' -X PUT -H "
            "\"Content-Type: $type.list.v2+json\" --data-binary @- "
            "http://$at/v2/layers/manifests/windows\n"
            "! docker pull $at/layers:windows 2>&1");
        QVERIFY2(windows.exitCode == 0, (windows.out + windows.err).c_str());
        QVERIFY2(windows.out.find("no matching manifest for linux/amd64 in the manifest list "
                                  "entries (a Windows engine can be added") != std::string::npos,
                 windows.out.c_str());
    }

    void anotherDocker_data()
    {
        QTest::addColumn<std::string>("path");
        QTest::newRow("Debian 12's") << std::string("PATH=$SLIPWAY_OLD_CLI:$PATH; ");
        // The one that would run if ours were not first.
        std::string without =
            "PATH=$(echo \"$PATH\" | tr : '\\n' | grep -vxF \"$SLIPWAY_CLI\" | paste -sd:); ";
        if (shell(without + "command -v docker").exitCode == 0) QTest::newRow("on PATH") << without;
    }
    void anotherDocker()
    {
        QFETCH(std::string, path);
        Output seen = shell(
            path +
            "set -e; docker version >/dev/null; docker run --rm -v $PWD/link:/b box cat /b/f; "
            "docker run -d --name other -v $PWD/link:/b box sleep 1000 >/dev/null; "
            "echo typed | docker exec -i other cat; docker cp other:/b/f back; cat back; "
            "docker inspect -f '{{(index .Mounts 0).Source}}' other; "
            "printf 'FROM box\\nRUN echo built > /x\\n' | DOCKER_BUILDKIT=0 docker build -q - "
            ">/dev/null");
        QVERIFY2(seen.exitCode == 0, (seen.out + seen.err).c_str());
        QCOMPARE(seen.out, "from the host\ntyped\nfrom the host\n" +
                               (m_slipway->workDir() / "link").string() + "\n");
    }
};

QTEST_GUILESS_MAIN(TestClients)
#include "tst_clients.moc"
