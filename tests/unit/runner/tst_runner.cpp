// tests/support/runner.py on programs that are shell scripts: what it counts, tells and returns.
#include <filesystem>
#include <fstream>

#include <QTemporaryDir>
#include <QtTest>

#include "shared/process/child.h"

using namespace slipway;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// In a Qt Test program's place: writes the JUnit file that it is given as `-o FILE,junitxml`.
const char* const kMixed =
    "f=${2%,junitxml}\n"
    "cat >\"$f\" <<'END'\n"
    "<testsuite><testcase name=\"initTestCase\"/><testcase name=\"works\"/>\n"
    "<testcase name=\"cannot\"><skipped message=\"needs wings; buy some\"/></testcase>\n"
    "<testcase name=\"breaks\"><failure message=\"2 is not 3\"/></testcase></testsuite>\n"
    "END\n"
    "exit 1\n";

}  // namespace

class TestRunner : public QObject {
    Q_OBJECT

    std::unique_ptr<QTemporaryDir> m_root;

    fs::path path(const std::string& below) const
    {
        return fs::path(m_root->path().toStdString()) / below;
    }

    // A program that ctest knows as `name`, with this script.
    void add(const std::string& name, const std::string& script,
             const std::string& properties = "TIMEOUT 20")
    {
        fs::path program = path(name);
        fs::create_directories(program.parent_path());
        std::ofstream(program) << "#!/bin/sh\n" << script;
        fs::permissions(program, fs::perms::owner_all);
        std::ofstream(path("build/dev/CTestTestfile.cmake"), std::ios::app)
            << "add_test(" << name << " " << program << ")\n"
            << "set_tests_properties(" << name << " PROPERTIES " << properties << ")\n";
    }

    Output runner(std::vector<std::string> args)
    {
        args.insert(args.begin(), {path("tests/support/runner.py").string(), "--no-build"});
        Command command;
        command.program = "python3";
        command.args = std::move(args);
        auto output = run(command, 50s);
        return output ? *output : Output{-1, "", output.error().message};
    }

    static std::string lastLine(const std::string& text)
    {
        auto end = text.find_last_not_of('\n');
        return text.substr(0, end + 1).substr(text.rfind('\n', end) + 1);
    }

private slots:
    void init()
    {
        m_root = std::make_unique<QTemporaryDir>();
        fs::create_directories(path("tests/support"));
        fs::create_directories(path("build/dev"));
        fs::copy_file(RUNNER, path("tests/support/runner.py"));
    }

    void countsFunctionsAndTellsWhatFailed()
    {
        add("unit/tst_mixed", kMixed);
        add("unit/plain", "exit 0");
        Output output = runner({});
        QCOMPARE(lastLine(output.out), std::string("2 passed, 1 failed, 1 skipped"));
        QVERIFY2(
            output.out.find("failed:\n  unit/tst_mixed breaks: 2 is not 3\n") != std::string::npos,
            output.out.c_str());
        QVERIFY2(output.out.find("skipped:\n  unit/tst_mixed cannot: needs wings; buy some\n") !=
                     std::string::npos,
                 output.out.c_str());
        QCOMPARE(output.exitCode, 1);
        QVERIFY(fs::exists(path("build/dev/junit/unit.tst_mixed.xml")));
    }

    void aSkipIsAFailureOnlyWithNoSkip()
    {
        add("unit/plain", "exit 0");
        add("unit/cannot", "echo starting; echo 'needs wings; buy some'; exit 77");
        Output lenient = runner({});
        QCOMPARE(lastLine(lenient.out), std::string("1 passed, 0 failed, 1 skipped"));
        QVERIFY2(lenient.out.find("skipped:\n  unit/cannot unit/cannot: needs wings; buy some\n") !=
                     std::string::npos,
                 lenient.out.c_str());
        QCOMPARE(lenient.exitCode, 0);
        Output strict = runner({"--no-skip"});
        QCOMPARE(lastLine(strict.out), std::string("1 passed, 1 failed, 0 skipped"));
        QVERIFY(strict.out.find("needs wings; buy some") != std::string::npos);
        QCOMPARE(strict.exitCode, 1);
    }

    void listsAndRunsNothing()
    {
        add("system/ran", "touch " + path("ran").string(), "LABELS \"root;fuse\" TIMEOUT 20");
        Output output = runner({"--list"});
        QVERIFY2(QString::fromStdString(output.out)
                     .contains(QRegularExpression("^system/ran +fuse root\n$")),
                 output.out.c_str());
        QCOMPARE(output.exitCode, 0);
        QVERIFY(!fs::exists(path("ran")));
    }

    void runsOnlyWhatTheFilterNames()
    {
        add("unit/io/one", "exit 0");
        add("unit/net/two", "exit 1");
        add("system/three", "exit 0");
        Output output = runner({"unit/io", "thr.e"});
        QCOMPARE(lastLine(output.out), std::string("2 passed, 0 failed, 0 skipped"));
        QVERIFY(output.out.find("unit/io/one") < output.out.find("system/three"));
        QCOMPARE(output.exitCode, 0);
        Output nothing = runner({"four"});
        QVERIFY2(nothing.err.find("no test has this name") != std::string::npos,
                 nothing.err.c_str());
        QCOMPARE(nothing.exitCode, 1);
    }

    void failsWhatDoesNotEndWell_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("script");
        QTest::addColumn<QString>("told");
        QTest::newRow("crashes") << "unit/tst_crash"
                                 << "kill -SEGV $$"
                                 << "died of SIGSEGV";
        QTest::newRow("hangs") << "unit/hang"
                               << "exec sleep 1000"
                               << "not done after its limit of 1 s";
        QTest::newRow("ends before its result") << "unit/tst_early"
                                                << "exit 0"
                                                << "exit status 0";
        QTest::newRow("ends in the midst of its result")
            << "unit/tst_half"
            << "echo '<testsuite>' >\"${2%,junitxml}\"; exit 1"
            << "exit status 1";
        QTest::newRow("fails with no function failed")
            << "unit/tst_late"
            << "echo '<testsuite/>' >\"${2%,junitxml}\"; exit 3"
            << "exit status 3";
        QTest::newRow("leaves a process") << "unit/leave"
                                          << "setsid sleep 1000 </dev/null >/dev/null 2>&1 &"
                                          << "left running: sleep";
    }
    void failsWhatDoesNotEndWell()
    {
        QFETCH(QString, name);
        QFETCH(QString, script);
        QFETCH(QString, told);
        add(name.toStdString(), script.toStdString(), "TIMEOUT 1");
        Output output = runner({});
        QVERIFY2(QString::fromStdString(output.out)
                     .contains("failed:\n  " + name + " " + name + ": " + told),
                 output.out.c_str());
        QCOMPARE(output.exitCode, 1);
    }
};

QTEST_GUILESS_MAIN(TestRunner)
#include "tst_runner.moc"
