// Host folders in containers, both ways there are: bound directly, and over the file relay.
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

class TestShares : public QObject {
    Q_OBJECT

    std::map<std::string, std::unique_ptr<SlipwayFixture>> m_slipways;
    SlipwayFixture* m_slipway = nullptr;
    std::string m_noFuse;

    Output docker(const SlipwayFixture::Words& args) { return m_slipway->docker(args); }
    fs::path work(const std::string& name) const { return m_slipway->workDir() / name; }
    static void write(const fs::path& file, const std::string& text)
    {
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    static std::string read(const fs::path& file)
    {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }

private slots:
    void initTestCase_data() { addWaysOfSharing(); }
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_noFuse = whyNoSlipway({"fuse"});
        for (const char* mode : {"direct", "fuse"}) {
            if (mode == std::string_view("fuse") && !m_noFuse.empty()) continue;
            auto slipway =
                std::make_unique<SlipwayFixture>(fmt::format("{{\"files\": \"{}\"}}", mode));
            QVERIFY(slipway->start());
            QVERIFY(slipway->makeImage());
            m_slipways[mode] = std::move(slipway);
        }
    }
    void cleanupTestCase() { m_slipways.clear(); }

    void init()
    {
        QFETCH_GLOBAL(std::string, files);
        if (files == "fuse" && !m_noFuse.empty()) QSKIP(m_noFuse.c_str());
        m_slipway = m_slipways[files].get();
    }
    void cleanup()
    {
        if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
        if (m_slipway) m_slipway->shell("docker rm -f $(docker ps -aq) 2>/dev/null");
    }

    void saysWhichWayItIs()
    {
        QFETCH_GLOBAL(std::string, files);
        Output status = m_slipway->slipway({"status"});
        QVERIFY2(status.out.find("Files     " + files) != std::string::npos, status.out.c_str());
    }

    void readsAndWrites()
    {
        write(work("site/index.html"), "hello from the host\n");
        std::string site = work("site").string();
        QCOMPARE(docker({"run", "--rm", "-v", site + ":/s", "box", "cat", "/s/index.html"}).out,
                 std::string("hello from the host\n"));
        QCOMPARE(docker({"run", "--rm", "-v", site + ":/s", "box", "sh", "-c",
                         "echo from the container > /s/new; chmod 640 /s/new"})
                     .exitCode,
                 0);
        QCOMPARE(read(work("site/new")), std::string("from the container\n"));
        struct stat status {};
        QCOMPARE(::stat(work("site/new").c_str(), &status), 0);
        QCOMPARE(int(status.st_mode & 07777), 0640);
        QCOMPARE(int(status.st_uid), 0);
    }

    void hostEditsAreSeenAtOnce()
    {
        write(work("edit/f"), "one\n");
        QCOMPARE(docker({"run", "-d", "--name", "reader", "-v", work("edit").string() + ":/e",
                         "box", "sleep", "1000"})
                     .exitCode,
                 0);
        QCOMPARE(docker({"exec", "reader", "cat", "/e/f"}).out, std::string("one\n"));
        write(work("edit/f"), "two, and longer\n");
        write(work("edit/g"), "new\n");
        QCOMPARE(docker({"exec", "reader", "cat", "/e/f", "/e/g"}).out,
                 std::string("two, and longer\nnew\n"));
        fs::remove(work("edit/f"));
        QVERIFY(docker({"exec", "reader", "cat", "/e/f"}).exitCode != 0);
    }

    void raisesInotifyEvents()
    {
        write(work("watched/f"), "one\n");
        fs::copy_file(QCoreApplication::applicationDirPath().toStdString() + "/watch-folder",
                      work("watch-folder"), fs::copy_options::overwrite_existing);
        QCOMPARE(
            docker({"run", "-d", "--name", "watcher", "-v", work("watched").string() + ":/w", "-v",
                    work("watch-folder").string() + ":/watch-folder", "box", "/watch-folder", "/w"})
                .exitCode,
            0);
        auto seen = [&](const std::string& line) {
            return docker({"logs", "watcher"}).out.find(line + "\n") != std::string::npos;
        };
        QVERIFY(eventually([&] { return seen("watching"); }));
        write(work("watched/f"), "two\n");
        QVERIFY(eventually([&] { return seen("0x2 f"); }));  // IN_MODIFY
        write(work("watched/created"), "x\n");
        QVERIFY(eventually([&] { return seen("0x100 created"); }));  // IN_CREATE
        fs::remove(work("watched/f"));
        QVERIFY(eventually([&] { return seen("0x200 f"); }));  // IN_DELETE
    }

    void anotherUserReadsOnlyWhatModesAllow()
    {
        write(work("modes/secret"), "secret\n");
        fs::permissions(work("modes/secret"), fs::perms(0600));
        write(work("modes/open"), "open\n");
        std::string mount = work("modes").string() + ":/m";
        // Warm the kernel's caches as root first: they must not open the file to anybody else.
        QCOMPARE(docker({"run", "-d", "--name", "warm", "-v", mount, "box", "sh", "-c",
                         "cat /m/secret /m/open; sleep 1000"})
                     .exitCode,
                 0);
        QCOMPARE(docker({"exec", "warm", "cat", "/m/secret"}).out, std::string("secret\n"));
        QVERIFY(docker({"exec", "-u", "65534", "warm", "cat", "/m/secret"}).exitCode != 0);
        QCOMPARE(docker({"exec", "-u", "65534", "warm", "cat", "/m/open"}).out,
                 std::string("open\n"));
        QVERIFY(docker({"exec", "-u", "65534", "warm", "sh", "-c", "echo x > /m/new"}).exitCode !=
                0);
    }

    void anotherUserOwnsWhatItMakes()
    {
        fs::create_directories(work("drop"));
        fs::permissions(work("drop"), fs::perms(0777));
        QCOMPARE(docker({"run", "--rm", "-u", "1234:5678", "-v", work("drop").string() + ":/d",
                         "box", "sh", "-c", "echo mine > /d/f"})
                     .exitCode,
                 0);
        struct stat status {};
        QCOMPARE(::stat(work("drop/f").c_str(), &status), 0);
        QCOMPARE(int(status.st_uid), 1234);
        QCOMPARE(int(status.st_gid), 5678);
    }

    void readOnlyIsReadOnly()
    {
        write(work("ro/f"), "x\n");
        Output output = docker({"run", "--rm", "-v", work("ro").string() + ":/r:ro", "box", "sh",
                                "-c", "echo y > /r/f"});
        QVERIFY(output.exitCode != 0);
        QVERIFY2(output.err.find("Read-only file system") != std::string::npos, output.err.c_str());
    }

    void aSingleFileIsBound()
    {
        write(work("one.conf"), "a=1\n");
        QCOMPARE(docker({"run", "--rm", "-v", work("one.conf").string() + ":/etc/one.conf", "box",
                         "cat", "/etc/one.conf"})
                     .out,
                 std::string("a=1\n"));
    }

    void aSymlinkedFolderIsResolvedOnTheHost()
    {
        write(work("real/f"), "real\n");
        fs::create_directory_symlink(work("real"), work("link"));
        QCOMPARE(
            docker({"run", "--rm", "-v", work("link").string() + ":/l", "box", "cat", "/l/f"}).out,
            std::string("real\n"));
    }

    void aMissingFolderIsMadeOrRefusedAsDockerDoes()
    {
        QCOMPARE(
            docker({"run", "--rm", "-v", work("made").string() + ":/m", "box", "true"}).exitCode,
            0);
        QVERIFY(fs::is_directory(work("made")));
        std::string missing = work("missing").string();
        Output refused = docker({"run", "--rm", "--mount",
                                 "type=bind,source=" + missing + ",target=/m", "box", "true"});
        QVERIFY(refused.exitCode != 0);
        QVERIFY2(
            refused.err.find("invalid mount config for type \"bind\": bind source path does not "
                             "exist: " +
                             missing) != std::string::npos,
            refused.err.c_str());
    }

    void inspectShowsTheHostPath()
    {
        write(work("seen/f"), "x\n");
        std::string host = work("seen").string();
        QCOMPARE(docker({"run", "-d", "--name", "seer", "-v", host + ":/s", "box", "sleep", "1000"})
                     .exitCode,
                 0);
        QCOMPARE(docker({"inspect", "-f", "{{(index .Mounts 0).Source}}", "seer"}).out,
                 host + "\n");
        QCOMPARE(docker({"inspect", "-f", "{{index .HostConfig.Binds 0}}", "seer"}).out,
                 host + ":/s\n");
        Output shares = m_slipway->slipway({"shares"});
        QVERIFY2(shares.out.find("seen") != std::string::npos, shares.out.c_str());
    }

    void containersKeepTheirFoldersOverARestart()
    {
        write(work("kept/f"), "kept\n");
        QCOMPARE(docker({"run", "-d", "--restart", "always", "--name", "keeper", "-v",
                         work("kept").string() + ":/k", "box", "sleep", "1000"})
                     .exitCode,
                 0);
        QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        QVERIFY(eventually([&] {
            return docker({"exec", "keeper", "cat", "/k/f"}).out == "kept\n";
        }));
    }

    void theEnginesSocketLeadsBackThroughTheEndpoint_data()
    {
        QTest::addColumn<QByteArray>("bind");
        QTest::newRow("alone") << QByteArray("/var/run/docker.sock:/var/run/docker.sock");
        QTest::newRow("with its folder") << QByteArray("/var/run:/var/run");
    }
    void theEnginesSocketLeadsBackThroughTheEndpoint()
    {
        // A container that talks to the engine names host paths, and means them.
        QFETCH(QByteArray, bind);
        write(work("nested/f"), "nested\n");
        Output output = m_slipway->shell(
            "docker run --rm -v " + bind.toStdString() +
            " -v \"$SLIPWAY_CLI/../libexec/docker\":/docker:ro -v /lib:/lib:ro -v /lib64:/lib64:ro "
            "box /docker run --rm -v \"$PWD/nested\":/n box cat /n/f");
        QVERIFY2(output.out == "nested\n", (output.out + output.err).c_str());
    }
};

QTEST_GUILESS_MAIN(TestShares)
#include "tst_shares.moc"
