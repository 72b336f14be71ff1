// The docker context, judged by the real docker command line.
#include <fstream>
#include <iterator>

#include <QStandardPaths>
#include <QTemporaryDir>
#include <QTest>

#include <sys/stat.h>
#include <unistd.h>

#include "shared/paths/docker_context.h"
#include "shared/process/child.h"

using namespace slipway;
namespace fs = std::filesystem;

class TestDockerContext : public QObject {
    Q_OBJECT

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    User m_user;
    std::string m_docker;

    std::string docker(std::vector<std::string> args) const
    {
        Command command{m_docker, std::move(args)};
        auto output = run(command, std::chrono::seconds(30));
        return output ? output->out + output->err : output.error().message;
    }

    std::string hostOf(const std::string& name) const
    {
        return docker({"context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}"});
    }

private slots:
    void initTestCase()
    {
        auto found =
            QStandardPaths::findExecutable("docker", {qEnvironmentVariable("SLIPWAY_CLI")});
        if (found.isEmpty()) found = QStandardPaths::findExecutable("docker");
        if (found.isEmpty())
            QSKIP(
                "no docker command line; tests/run fetches one, and SLIPWAY_CLI names its folder");
        m_docker = found.toStdString();
        qunsetenv("DOCKER_HOST");
        qunsetenv("DOCKER_CONTEXT");
    }

    void init()
    {
        m_dir = std::make_unique<QTemporaryDir>();
        qputenv("DOCKER_CONFIG", m_dir->filePath("config").toUtf8());
        auto user = invokingUser();
        QVERIFY(user.has_value());
        m_user = *user;
    }

    void dockerReadsIt()
    {
        QVERIFY(makeContext(m_user, "slipway", "unix:///a b/\"q\"/docker.sock"));
        QCOMPARE(hostOf("slipway"), std::string("unix:///a b/\"q\"/docker.sock\n"));
        QCOMPARE(docker({"context", "show"}), std::string("default\n"));
    }

    void isTheFileThatDockerWrites()
    {
        docker({"context", "create", "--description", "Slipway's engine", "--docker",
                "host=unix:///x/docker.sock", "slipway"});
        auto meta = [this] {
            auto folder = dockerConfigDir(m_user) / "contexts" / "meta";
            std::ifstream in(fs::directory_iterator(folder)->path() / "meta.json");
            return std::string(std::istreambuf_iterator<char>(in), {});
        };
        auto theirs = meta();
        docker({"context", "rm", "slipway"});
        QVERIFY(makeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QCOMPARE(meta(), theirs);
    }

    void followsAMovedEndpoint()
    {
        QVERIFY(makeContext(m_user, "slipway", "unix:///old/docker.sock"));
        QVERIFY(makeContext(m_user, "slipway", "unix:///new/docker.sock"));
        QCOMPARE(hostOf("slipway"), std::string("unix:///new/docker.sock\n"));
    }

    void leavesTheOthersAndTheCurrentOneAlone()
    {
        docker({"context", "create", "--docker", "host=unix:///theirs.sock", "theirs"});
        docker({"context", "use", "theirs"});
        QVERIFY(makeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QCOMPARE(currentContext(m_user), std::string("theirs"));
        QVERIFY(removeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QCOMPARE(docker({"context", "show"}), std::string("theirs\n"));
        QCOMPARE(hostOf("theirs"), std::string("unix:///theirs.sock\n"));
        QVERIFY(hostOf("slipway").find("not found") != std::string::npos);
    }

    void removesOnlyWhatLeadsToTheEndpoint()
    {
        QVERIFY(makeContext(m_user, "slipway", "unix:///other-home/docker.sock"));
        QVERIFY(removeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QCOMPARE(hostOf("slipway"), std::string("unix:///other-home/docker.sock\n"));
        QVERIFY(removeContext(m_user, "none", "unix:///x/docker.sock"));
    }

    void leavesNoEmptyFolders()
    {
        fs::path config = dockerConfigDir(m_user);
        QVERIFY(makeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QVERIFY(makeContext(m_user, "other", "unix:///y/docker.sock"));
        QVERIFY(removeContext(m_user, "slipway", "unix:///x/docker.sock"));
        QVERIFY(fs::exists(config / "contexts/meta"));
        QVERIFY(removeContext(m_user, "other", "unix:///y/docker.sock"));
        QVERIFY(!fs::exists(config / "contexts"));
        QVERIFY(fs::exists(config));  // DOCKER_CONFIG names it.

        auto set = qgetenv("DOCKER_CONFIG");
        qunsetenv("DOCKER_CONFIG");
        User user = m_user;
        user.home = m_dir->path().toStdString();
        bool made = makeContext(user, "slipway", "unix:///x/docker.sock") &&
                    fs::exists(user.home / ".docker/contexts/meta");
        bool removed = removeContext(user, "slipway", "unix:///x/docker.sock") &&
                       !fs::exists(user.home / ".docker");
        qputenv("DOCKER_CONFIG", set);
        QVERIFY(made);
        QVERIFY(removed);
    }

    void dockerContextInTheEnvironmentIsTheCurrentOne()
    {
        qputenv("DOCKER_CONTEXT", "other");
        QCOMPARE(currentContext(m_user), std::string("other"));
        qunsetenv("DOCKER_CONTEXT");
        QCOMPARE(currentContext(m_user), std::string("default"));
    }

    void belongsToTheInvokingUser()
    {
        if (::geteuid() != 0) QSKIP("only root can act for another user; run the tests as root");
        User nobody{65534, 65534, "nobody", m_dir->path().toStdString()};
        QCOMPARE(::chmod(m_dir->path().toUtf8(), 0755), 0);
        auto denied = makeContext(nobody, "slipway", "unix:///x/docker.sock");
        QVERIFY(!denied);
        QCOMPARE(denied.error().code, Code::PermissionDenied);
        QCOMPARE(::chown(m_dir->path().toUtf8(), 65534, 65534), 0);
        QVERIFY(makeContext(nobody, "slipway", "unix:///x/docker.sock"));
        for (const auto& entry : fs::recursive_directory_iterator(dockerConfigDir(nobody))) {
            struct stat found {};
            QCOMPARE(::stat(entry.path().c_str(), &found), 0);
            QCOMPARE(found.st_uid, 65534u);
            QCOMPARE(found.st_gid, 65534u);
        }
        QCOMPARE(::access((m_dir->path().toStdString() + "/config").c_str(), W_OK), 0);
    }
};

QTEST_GUILESS_MAIN(TestDockerContext)
#include "tst_docker_context.moc"
