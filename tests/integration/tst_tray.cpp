// slipway-desktop in a real session, as a panel sees it: its icon, tool tip and menu over D-Bus,
// against a fake bridge.
#include <csignal>
#include <fstream>
#include <iterator>

#include <QCoreApplication>
#include <QTemporaryDir>
#include <QTest>

#include "app/launcher/bridge_process.h"
#include "shared/paths/home.h"
#include "shared/process/process_facts.h"
#include "tests/fakes/fake_bridge.h"
#include "tests/support/display/own_session.h"
#include "tests/support/display/tray_host.h"

using namespace slipway;
namespace fs = std::filesystem;

namespace {

std::string contentOf(const fs::path& file)
{
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

v1::State stateOf(v1::Condition condition, const char* reason = "")
{
    v1::State state;
    state.set_condition(condition);
    state.set_reason(reason);
    state.mutable_engine()->set_version("26.1.5");
    state.mutable_engine()->set_containers_running(2);
    return state;
}

}  // namespace

class TestTray : public QObject {
    Q_OBJECT

private:
    std::string m_whyNot;  // Why there is no session, with the remedy; empty: there is one.
    QTemporaryDir m_binDir;
    std::unique_ptr<QTemporaryDir> m_dir;
    std::unique_ptr<test::TrayHost> m_host;
    std::unique_ptr<test::FakeBridge> m_bridge;
    std::optional<Child> m_desktop;
    Home m_home;
    fs::path m_err;

    Child startDesktop(const std::string& display = qEnvironmentVariable("DISPLAY").toStdString())
    {
        Command command;
        command.program = m_binDir.path().toStdString() + "/slipway-desktop";
        command.environment = std::map<std::string, std::string>{
            {"SLIPWAY_HOME", m_home.root.string()},
            {"HOME", m_dir->path().toStdString()},
            {"PATH", "/usr/bin:/bin"},
            {"DISPLAY", display},
            {"QT_QPA_PLATFORM", "xcb"},
            {"DBUS_SESSION_BUS_ADDRESS",
             qEnvironmentVariable("DBUS_SESSION_BUS_ADDRESS").toStdString()}};
        command.err = m_err;
        auto child = Child::start(command);
        if (!child) qFatal("%s", child.error().message.c_str());
        return *std::move(child);
    }

    void startBridge() { m_bridge = std::make_unique<test::FakeBridge>(m_home.bridgeSocket()); }

    QString status() const
    {
        auto menu = m_host->menu();
        return menu.isEmpty() ? QString() : menu.first().label;
    }
    bool shown(const QString& label) const { return m_host->entry(label).has_value(); }
    bool enabled(const QString& label) const
    {
        auto entry = m_host->entry(label);
        return entry && entry->enabled;
    }

public:
    explicit TestTray(std::string whyNot) : m_whyNot(std::move(whyNot)) {}

private slots:
    void initTestCase()
    {
        if (!m_whyNot.empty()) QSKIP(m_whyNot.c_str());
        fs::path bin = m_binDir.path().toStdString();
        fs::path built = qEnvironmentVariable("SLIPWAY_BIN").toStdString();
        fs::copy_file(built / "slipway-desktop", bin / "slipway-desktop");
        fs::copy_file(built.parent_path() / "tests" / "fake-bridge", bin / "slipway-bridge");
    }

    void init()
    {
        m_dir = std::make_unique<QTemporaryDir>();
        fs::path dir = m_dir->path().toStdString();
        m_home = Home{dir / "home"};
        m_err = dir / "err";
        fs::create_directories(m_home.runDir());
        m_host = std::make_unique<test::TrayHost>();
    }

    void cleanup()
    {
        if (m_desktop) {
            m_desktop->terminate();
            m_desktop->wait();
            m_desktop.reset();
        }
        m_bridge.reset();
        m_host.reset();
        if (auto launched = bridgeProcess(m_home)) ::kill(*launched, SIGKILL);
    }

    void showsEveryStateOfTheBridge()
    {
        startBridge();
        m_desktop = startDesktop();
        QTRY_VERIFY(m_host->hasItem());
        QTRY_COMPARE(status(), QString("Stopped"));
        auto stopped = m_host->icon();
        QVERIFY(!stopped.isEmpty());
        m_bridge->setState(stateOf(v1::CONDITION_RUNNING));
        QTRY_COMPARE(status(), QString("Running: Docker 26.1.5, 2 containers"));
        QVERIFY(m_host->icon() != stopped);
        QVERIFY2(m_host->toolTip().startsWith("Slipway: running"), qPrintable(m_host->toolTip()));
        QVERIFY(enabled("Stop") && enabled("Restart") && !enabled("Start"));
        m_bridge->setState(stateOf(v1::CONDITION_TROUBLE, "dockerd keeps ending"));
        QTRY_COMPARE(status(), QString("Trouble: dockerd keeps ending"));
        QTRY_VERIFY(m_host->toolTip().contains("dockerd keeps ending"));
    }

    void theIconMovesWhileTheEngineStarts()
    {
        startBridge();
        m_bridge->setState(stateOf(v1::CONDITION_STARTING, "engine"));
        m_desktop = startDesktop();
        QTRY_COMPARE(status(), QString("Starting: engine"));
        auto first = m_host->icon();
        QTRY_VERIFY(m_host->icon() != first);
    }

    void theMenuAsksTheBridge()
    {
        startBridge();
        m_desktop = startDesktop();
        QTRY_VERIFY(enabled("Start"));
        m_host->click("Start");
        QTRY_VERIFY(enabled("Restart"));
        m_host->click("Restart");
        QTRY_COMPARE(m_bridge->calls().size(), 2u);
        QTRY_VERIFY(enabled("Stop"));
        m_host->click("Stop");
        QTRY_COMPARE(m_bridge->calls(),
                     (std::vector<std::string>{"StartEngine", "RestartEngine", "StopEngine"}));
    }

    void switchesBetweenTheEngines()
    {
        startBridge();
        v1::State state = stateOf(v1::CONDITION_RUNNING);
        for (const char* name : {"linux", "windows"}) {
            m_bridge->setState(state);
            if (!m_desktop) m_desktop = startDesktop();
            QTRY_VERIFY(status().startsWith("Running"));
            QVERIFY(!shown("Switch to Windows containers"));
            auto* engine = state.add_engines();
            engine->set_name(name);
            engine->set_in_use(state.engines_size() == 1);
        }
        m_bridge->setState(state);
        QTRY_VERIFY(shown("Switch to Windows containers"));
        m_host->click("Switch to Windows containers");
        QTRY_COMPARE(status(), QString("Running: Windows containers, Docker 26.1.5, 2 containers"));
        QVERIFY(!shown("Switch to Windows containers"));
        m_bridge->failCallsWith(
            {grpc::StatusCode::UNAVAILABLE, "the linux engine does not answer"});
        m_host->click("Switch to Linux containers");
        QTRY_VERIFY(contentOf(m_err).find("could not switch to linux containers: the linux engine "
                                          "does not answer") != std::string::npos);
        QCOMPARE(m_bridge->calls(),
                 (std::vector<std::string>{"UseEngine windows", "UseEngine linux"}));
    }

    void aFailureIsSaid()
    {
        startBridge();
        m_bridge->failCallsWith({grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"});
        m_desktop = startDesktop();
        QTRY_VERIFY(enabled("Start"));
        m_host->click("Start");
        QTRY_VERIFY(contentOf(m_err).find("could not start: the disk is full") !=
                    std::string::npos);
    }

    void startLaunchesABridge()
    {
        m_desktop = startDesktop();
        QTRY_VERIFY(m_host->hasItem());
        QTRY_COMPARE(status(), QString("Stopped"));
        m_host->click("Start");
        QTRY_COMPARE_WITH_TIMEOUT(status(), QString("Running: Docker 26.1.5, 0 containers"), 10000);
        m_host->click("Stop engine and quit");
        QCOMPARE(m_desktop->wait(), 0);
        m_desktop.reset();
    }

    void findsABridgeThatComesBack()
    {
        startBridge();
        m_bridge->setState(stateOf(v1::CONDITION_RUNNING));
        m_desktop = startDesktop();
        QTRY_VERIFY(status().startsWith("Running"));
        m_bridge.reset();
        QTRY_COMPARE(status(), QString("Stopped"));
        startBridge();
        m_bridge->setState(stateOf(v1::CONDITION_RUNNING));
        QTRY_VERIFY_WITH_TIMEOUT(status().startsWith("Running"), 10000);
    }

    void tellsAMachineWithoutABridgeAndItsEnd()
    {
        Command sleeper{"sleep", {"600"}};
        auto machine = Child::start(sleeper);
        QVERIFY(machine.has_value());
        std::ofstream(m_home.machineFile())
            << "{\"pid\": " << machine->pid()
            << ", \"start_time\": " << *startTimeOf(machine->pid()) << "}";
        m_desktop = startDesktop();
        QTRY_COMPARE(status(), QString("Bridge not running; containers go on"));
        QVERIFY(enabled("Start") && enabled("Stop"));
        machine->kill();
        machine->wait();
        QTRY_COMPARE(status(), QString("Stopped"));
    }

    void tellsABridgeThatDoesNotAnswer()
    {
        m_desktop = startDesktop();
        QTRY_VERIFY(enabled("Start"));
        m_host->click("Start");
        QTRY_VERIFY_WITH_TIMEOUT(status().startsWith("Running"), 10000);
        auto bridge = bridgeProcess(m_home);
        QVERIFY(bridge);
        ::kill(*bridge, SIGSTOP);
        QTRY_COMPARE_WITH_TIMEOUT(status(), QString("The bridge does not answer"), 25000);
        m_desktop->terminate();
        m_desktop->wait();
        m_desktop = startDesktop();
        QTRY_COMPARE(status(), QString("Waiting for the bridge"));
        QTRY_COMPARE_WITH_TIMEOUT(status(), QString("The bridge does not answer"), 10000);
        QVERIFY(!enabled("Start") && !enabled("Stop") && !enabled("Stop engine and quit"));
        ::kill(*bridge, SIGCONT);
        QTRY_VERIFY_WITH_TIMEOUT(status().startsWith("Running"), 10000);
        ::kill(*bridge, SIGKILL);
        QTRY_COMPARE(status(), QString("Stopped"));
    }

    void quitLeavesTheEngineAlone()
    {
        startBridge();
        m_bridge->setState(stateOf(v1::CONDITION_RUNNING));
        m_desktop = startDesktop();
        QTRY_VERIFY(status().startsWith("Running"));
        m_host->click("Quit Slipway");
        QCOMPARE(m_desktop->wait(), 0);
        m_desktop.reset();
        QVERIFY(m_bridge->calls().empty());
    }

    void endsInGoodOrderOnSigterm()
    {
        startBridge();
        m_desktop = startDesktop();
        QTRY_VERIFY(m_host->hasItem());
        m_desktop->terminate();
        QCOMPARE(m_desktop->wait(), 0);
        m_desktop.reset();
        QVERIFY(!fs::exists(m_home.desktopLock()));
    }

    void aSecondOneStepsBack()
    {
        m_desktop = startDesktop();
        QTRY_VERIFY(m_host->hasItem());
        auto second = startDesktop();
        QCOMPARE(second.wait(), 0);
        QVERIFY(contentOf(m_err).find("is there already") != std::string::npos);
        QVERIFY(isRunning(m_desktop->pid()));
    }

    void waitsForATray()
    {
        m_host.reset();
        m_desktop = startDesktop();
        QTRY_VERIFY_WITH_TIMEOUT(
            contentOf(m_err).find("gnome-shell-extension-appindicator") != std::string::npos,
            15000);
        m_host = std::make_unique<test::TrayHost>();
        QTRY_VERIFY(m_host->hasItem());
    }

    void noDisplayIsAnErrorWithAWayOut()
    {
        auto desktop = startDesktop("");
        QCOMPARE(desktop.wait(), 1);
        auto said = contentOf(m_err);
        QVERIFY2(said.find("no display can be reached") != std::string::npos &&
                     said.find("slipway start") != std::string::npos,
                 said.c_str());
    }
};

int main(int argc, char** argv)
{
    auto session = test::OwnSession::start();
    QCoreApplication app(argc, argv);
    TestTray test(session ? std::string() : session.error().message);
    return QTest::qExec(&test, argc, argv);
}
#include "tst_tray.moc"
