// Programs that watch files, in containers: they hear of what the host changes, both ways of
// sharing.
#include <algorithm>
#include <fstream>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/slipway_fixture.h"

using namespace slipway;
using namespace slipway::test;
namespace fs = std::filesystem;

namespace {

// A change on the host, and the line that the program then prints.
struct Step {
    std::function<void(const fs::path& project)> change;
    std::string line;
};
using Steps = std::vector<Step>;

// Never shorter than what is there, and never empty in between: vite would read nothing then, and
// take the second of two changes within 50 ms for the first.
void write(const fs::path& file, const std::string& text)
{
    std::fstream(file, fs::exists(file) ? std::ios::in | std::ios::out : std::ios::out) << text;
}

// A module for node and for a browser.
std::string module(const char* name, int version)
{
    return fmt::format("console.log('{} {}'); import.meta.hot?.accept();\n", name, version);
}

auto nothing()
{
    return [](const fs::path&) {};
}
auto writes(const char* name, const std::string& text)
{
    return [=](const fs::path& project) { write(project / name, text); };
}
// As most editors save.
auto replaces(const char* name, const std::string& text)
{
    return [=](const fs::path& project) {
        write(project / ".new", text);
        fs::rename(project / ".new", project / name);
    };
}
auto savesAsVim(const char* name, const std::string& text)
{
    return [=](const fs::path& project) {
        fs::path backup = project / (std::string(name) + "~");
        fs::rename(project / name, backup);
        write(project / name, text);
        fs::remove(backup);
    };
}
auto makesFolder(const char* name)
{
    return [=](const fs::path& project) { fs::create_directory(project / name); };
}
auto removes(const char* name)
{
    return [=](const fs::path& project) { fs::remove(project / name); };
}

}  // namespace

class TestWatchers : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;

private slots:
    void initTestCase_data() { addWaysOfSharing(); }
    void initTestCase()
    {
        if (auto why = whyNoSlipway(); !why.empty()) QSKIP(why.c_str());
        m_slipway = std::make_unique<SlipwayFixture>();
        if (m_slipway->shell("test -e \"$SLIPWAY_NODE_WATCHERS/stamp\"").exitCode != 0)
            QSKIP(
                "npm's watchers are not here; apt-get install nodejs npm, and tests/run with npm's "
                "registry in reach");
    }
    void cleanupTestCase() { m_slipway.reset(); }

    void init()
    {
        QFETCH_GLOBAL(std::string, files);
        if (files == "fuse")
            if (auto why = whyNoSlipway({"fuse"}); !why.empty()) QSKIP(why.c_str());
        QVERIFY(m_slipway->startWith(settingsOfTheWay()));
    }
    void cleanup()
    {
        if (QTest::currentTestFailed()) m_slipway->tellLogs();
        m_slipway->shell("docker rm -f watcher");
    }

    // No file is changed twice: chokidar takes two changes within 50 ms for one.
    void hearOfTheHostsChanges_data()
    {
        QTest::addColumn<std::string>("command");
        QTest::addColumn<Steps>("steps");
        const Steps forChokidar{
            {nothing(), "ready"},
            {writes("new", "1"), "add new"},
            {writes("written.mjs", "2"), "change written.mjs"},
            {replaces("replaced.mjs", "2"), "change replaced.mjs"},
            {savesAsVim("saved", "2"), "change saved"},
            {removes("gone"), "unlink gone"},
            {makesFolder("folder"), "addDir folder"},
            {writes("folder/f", "1"), "add folder/f"},
            {removes("folder/f"), "unlink folder/f"},
            {removes("folder"), "unlinkDir folder"},
        };
        for (const char* package : {"chokidar", "chokidar4"})
            QTest::newRow(package)
                << std::string("node /watchers/chokidar.mjs ") + package << forChokidar;
        QTest::newRow("nodemon")
            << std::string("node /watchers/node_modules/.bin/nodemon -V --no-colours main.mjs")
            << Steps{
                   {nothing(), "written 1"},
                   {nothing(), "[nodemon] watching 6 files"},
                   {writes("written.mjs", module("written", 2)), "written 2"},
                   {replaces("replaced.mjs", module("replaced", 2)), "replaced 2"},
               };
        QTest::newRow("vite")
            << std::string("node /watchers/vite.mjs")
            << Steps{
                   {nothing(), "loaded written 1"},
                   {nothing(), "loaded replaced 1"},
                   {writes("written.mjs", module("written", 2)), "update written 2"},
                   {replaces("replaced.mjs", module("replaced", 2)), "update replaced 2"},
                   {writes("index.html", "<p>new"), "full-reload"},
               };
        QTest::newRow("inotifywait")
            << std::string("inotifywait -mr --format '%e %w%f' .")
            << Steps{
                   {nothing(), "Watches established."},
                   {writes("new", "1"), "CREATE ./new"},
                   {writes("written.mjs", "2"), "CLOSE_WRITE,CLOSE ./written.mjs"},
                   {replaces("replaced.mjs", "2"), "MOVED_TO ./replaced.mjs"},
                   {removes("gone"), "DELETE ./gone"},
                   {makesFolder("folder"), "CREATE,ISDIR ./folder"},
               };
    }
    void hearOfTheHostsChanges()
    {
        QFETCH(std::string, command);
        QFETCH(Steps, steps);
        fs::path project = m_slipway->workDir() / "project";
        fs::remove_all(project);
        fs::create_directory(project);
        for (const char* name : {"saved", "gone", "index.html"}) write(project / name, "1");
        for (const char* name : {"written", "replaced"})
            write(project / fmt::format("{}.mjs", name), module(name, 1));
        write(project / "main.mjs",
              "import './written.mjs';\nimport './replaced.mjs';\nsetInterval(() => {}, 1000);\n");

        // Node is the host's, with the libraries it needs.
        Output started = m_slipway->shell(
            "docker run -d --name watcher -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro "
            "-v \"$SLIPWAY_NODE_WATCHERS\":/watchers:ro -v \"$PWD/project\":/project -w /project "
            "-e PATH=/usr/local/bin:/usr/bin:/bin box " +
            command);
        QVERIFY2(started.exitCode == 0, started.err.c_str());
        for (const auto& [change, line] : steps) {
            change(project);
            Output printed;
            bool heard = eventually([&, &line = line] {
                printed = m_slipway->shell("docker logs watcher 2>&1");
                return has("\n" + printed.out, "\n" + line + "\n");
            });
            std::replace(printed.out.begin(), printed.out.end(), '\n', '|');
            QVERIFY2(heard, (line + " is not in: " + printed.out).c_str());
        }
    }
};

QTEST_GUILESS_MAIN(TestWatchers)
#include "tst_watchers.moc"
