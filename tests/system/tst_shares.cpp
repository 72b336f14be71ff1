// Host folders in containers, both ways there are: bound directly, and over the file relay.
#include <fstream>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <QElapsedTimer>
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

    void aSingleFileIsWrittenAndGoesOnWhenItIsReplaced()
    {
        write(work("two.conf"), "a=1\n");
        QCOMPARE(docker({"run", "-d", "--name", "holder", "-v",
                         work("two.conf").string() + ":/etc/two.conf", "box", "sleep", "1000"})
                     .exitCode,
                 0);
        QCOMPARE(docker({"exec", "holder", "sh", "-c", "echo b=2 >>/etc/two.conf"}).exitCode, 0);
        QCOMPARE(read(work("two.conf")), std::string("a=1\nb=2\n"));
        write(work("two.conf"), "c=3\n");
        QCOMPARE(docker({"exec", "holder", "cat", "/etc/two.conf"}).out, std::string("c=3\n"));
        // As editors save: the bind is of the file that was there.
        write(work("two.conf.new"), "d=4\n");
        fs::rename(work("two.conf.new"), work("two.conf"));
        QCOMPARE(docker({"exec", "holder", "cat", "/etc/two.conf"}).out, std::string("c=3\n"));
        QCOMPARE(docker({"restart", "holder"}).exitCode, 0);
        QCOMPARE(docker({"exec", "holder", "cat", "/etc/two.conf"}).out, std::string("d=4\n"));
    }

    void aVolumeBelowAFolderSurvivesTheHostsChanges()
    {
        write(work("proj/main.js"), "one");
        write(work("proj/node_modules/host"), "the host's own");
        std::string proj = work("proj").string();
        QCOMPARE(docker({"run", "-d", "--name", "app", "-v", proj + ":/app", "-v",
                         "nm:/app/node_modules", "-v", "deep:/app/gen/deep", "box", "sh", "-c",
                         "echo in the volume >/app/node_modules/m; echo d >/app/gen/deep/d; "
                         "sleep 1000"})
                     .exitCode,
                 0);
        auto seen = [&] {
            return docker({"exec", "app", "sh", "-c",
                           "cd /app; cat main.js node_modules/m gen/deep/d; ls node_modules"})
                .out;
        };
        auto holds = [&](const std::string& text) {
            return eventually([&] { return seen() == text + "in the volume\nd\nm\n"; });
        };
        QVERIFY2(holds("one"), seen().c_str());
        write(work("proj/main.js"), "two");
        write(work("proj/node_modules/later"), "x");
        fs::permissions(work("proj/node_modules"), fs::perms(0700));
        QVERIFY2(holds("two"), seen().c_str());
        fs::remove(work("proj/node_modules/host"));
        write(work("proj/other.js"), "x");
        fs::last_write_time(work("proj"), fs::file_time_type::clock::now());
        write(work("proj/main.js"), "three");
        QVERIFY2(holds("three"), seen().c_str());
        QCOMPARE(docker({"exec", "app", "sh", "-c", "echo >>/app/node_modules/m"}).exitCode, 0);
        QVERIFY(!fs::exists(work("proj/node_modules/m")));
        QVERIFY(fs::exists(work("proj/node_modules/later")));
        QCOMPARE(docker({"rm", "-f", "app"}).exitCode, 0);
        QCOMPARE(docker({"volume", "rm", "nm", "deep"}).exitCode, 0);
    }

    void manyContainersHaveTheSameFolder()
    {
        constexpr int kContainers = 12;
        write(work("same/f"), "x");
        Output ran = m_slipway->shell(fmt::format(
            "for i in $(seq {}); do docker run --name s$i -v $PWD/same:/s box sh -c \"echo $i "
            ">/s/$i; until [ \\$(ls /s | wc -l) = {} ]; do sleep 0.05; done\" & p=\"$p $!\"; done; "
            "for i in $p; do wait $i || exit 1; done",
            kContainers, kContainers + 1));
        QVERIFY2(ran.exitCode == 0, ran.err.c_str());
    }

    void twoHundredFoldersInOneContainer()
    {
        constexpr int kFolders = 200;
        SlipwayFixture::Words args{"run", "--rm"};
        for (int i = 0; i < kFolders; ++i) {
            std::string name = fmt::format("many/{}", i);
            write(work(name + "/f"), fmt::format("{} ", i));
            args.insert(args.end(), {"-v", fmt::format("{}:/m/{}", work(name).string(), i)});
        }
        args.insert(args.end(), {"box", "sh", "-c",
                                 fmt::format("for i in $(seq 0 {}); do cat /m/$i/f; echo w "
                                             ">/m/$i/g || exit 1; done",
                                             kFolders - 1)});
        std::string all;
        for (int i = 0; i < kFolders; ++i) all += fmt::format("{} ", i);
        QElapsedTimer clock;
        clock.start();
        Output ran = docker(args);
        QVERIFY2(ran.out == all, (ran.out + ran.err).c_str());
        QVERIFY2(clock.elapsed() <= 15'000, qPrintable(QString::number(clock.elapsed())));
        for (int i = 0; i < kFolders; ++i)
            QCOMPARE(read(work(fmt::format("many/{}/g", i))), std::string("w\n"));
    }

    void pathsMayHoldWhatTheyLike_data()
    {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<bool>("shortToo");  // May be spelled with -v too.
        QTest::newRow("blanks") << QByteArray(" a  b ") << true;
        QTest::newRow("quotes") << QByteArray("it's \"so\"") << true;
        QTest::newRow("UTF-8") << QByteArray("größe 日本 🚢") << true;
        QTest::newRow("no UTF-8 of NFC") << QByteArray("gro\xcc\x88sse") << true;
        QTest::newRow("a backslash") << QByteArray("a\\nb\\") << true;
        QTest::newRow("of a shell") << QByteArray("$HOME `x` *?[a] ;&|") << true;
        QTest::newRow("percent") << QByteArray("%2f%00%s") << true;
        QTest::newRow("colons") << QByteArray("a:b:ro") << false;
        QTest::newRow("commas") << QByteArray("a,b=c") << true;
    }
    void pathsMayHoldWhatTheyLike()
    {
        QFETCH(QByteArray, name);
        QFETCH(bool, shortToo);
        std::string host = work("odd/" + name.toStdString()).string();
        write(host + "/f", "odd\n");
        std::string quoted = host;  // A field of CSV.
        for (std::size_t at = 0; (at = quoted.find('"', at)) != std::string::npos; at += 2)
            quoted.insert(at, 1, '"');
        for (const auto& words :
             {SlipwayFixture::Words{"--mount", "type=bind,\"source=" + quoted + "\",target=/o"},
              SlipwayFixture::Words{"-v", host + ":/o"}}) {
            if (words[0] == "-v" && !shortToo) continue;
            SlipwayFixture::Words args{"run", "--name", "odd"};
            args.insert(args.end(), words.begin(), words.end());
            args.insert(args.end(), {"box", "sh", "-c", "cat /o/f; echo x >>/o/g"});
            Output ran = docker(args);
            QVERIFY2(ran.out == "odd\n", (words[1] + ": " + ran.err).c_str());
            QCOMPARE(docker({"inspect", "-f", "{{(index .Mounts 0).Source}}", "odd"}).out,
                     host + "\n");
            QCOMPARE(docker({"rm", "odd"}).exitCode, 0);
        }
        QCOMPARE(read(host + "/g"), std::string(shortToo ? "x\nx\n" : "x\n"));
        fs::remove_all(host);
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

    void containersKeepTheirFoldersOverARestart_data()
    {
        QTest::addColumn<QByteArray>("what");
        for (const char* what : {"slipway restart", "dockerd dies", "containerd dies",
                                 "the machine dies", "the machine and the bridge die"})
            QTest::newRow(what) << QByteArray(what);
    }
    void containersKeepTheirFoldersOverARestart()
    {
        QFETCH(QByteArray, what);
        write(work("kept/f"), "kept\n");
        write(work("kept.conf"), "a=1\n");
        QCOMPARE(docker({"run", "-d", "--restart", "always", "--name", "keeper", "-v",
                         work("kept").string() + ":/k", "-v",
                         work("kept.conf").string() + ":/etc/kept.conf", "-v", "own:/k/own", "box",
                         "sh", "-c",
                         "while cat /k/f /etc/kept.conf; do echo x >>/k/log; "
                         "echo x >>/k/own/log; sleep 0.1; done"})
                     .exitCode,
                 0);
        auto logged = [this] { return read(work("kept/log")).size(); };
        QVERIFY(eventually([&] { return logged() > 2; }));
        auto inMachine = [this](const char* name) { return m_slipway->pidInMachine(name); };
        if (what == "slipway restart") {
            QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
        } else if (what.startsWith("the machine")) {
            pid_t machine = m_slipway->machinePid();
            bool both = what.endsWith("bridge die");
            if (both) QCOMPARE(::kill(m_slipway->bridgePid(), SIGKILL), 0);
            QCOMPARE(::kill(machine, SIGKILL), 0);
            QVERIFY(eventually([&] { return m_slipway->machinePid() != machine; }));
            if (both) QVERIFY(m_slipway->start());
        } else {
            const char* name = what.startsWith("dockerd") ? "dockerd" : "containerd";
            pid_t process = inMachine(name);
            QCOMPARE(::kill(process, SIGKILL), 0);
            QVERIFY(eventually([&] { return inMachine(name) && inMachine(name) != process; }));
        }
        QVERIFY(eventually([&] { return m_slipway->ping(); }, std::chrono::seconds(30)));
        auto before = logged();
        QVERIFY(eventually([&] { return logged() > before + 2; }, std::chrono::seconds(20)));
        write(work("kept/f"), "kept on\n");
        write(work("kept.conf"), "a=2\n");
        Output seen;
        QVERIFY2(eventually([&] {
                     seen = docker({"exec", "keeper", "sh", "-c",
                                    "cat /k/f /etc/kept.conf; ls /k; test -s /k/own/log"});
                     return seen.exitCode == 0 && seen.out == "kept on\na=2\nf\nlog\nown\n";
                 }),
                 (seen.out + seen.err).c_str());
        QVERIFY(fs::is_empty(work("kept/own")));
        docker({"rm", "-f", "keeper"});
        QCOMPARE(docker({"volume", "rm", "own"}).exitCode, 0);
        fs::remove_all(work("kept"));
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
