// What the tray shows of each state, and that its pictures can be told apart without colours.
#include <QGuiApplication>
#include <QTest>

#include "tray/state_icon.h"
#include "tray/tray_view.h"

using namespace slipway;

namespace {

v1::State stateOf(v1::Condition condition, const char* reason = "")
{
    v1::State state;
    state.set_condition(condition);
    state.set_reason(reason);
    state.mutable_engine()->set_version("26.1.5");
    state.mutable_engine()->set_containers_running(1);
    return state;
}

QString allowedBy(const TrayView& view)
{
    QStringList allowed;
    if (view.canStart) allowed << "start";
    if (view.canStop) allowed << "stop";
    if (view.canRestart) allowed << "restart";
    return allowed.join(' ');
}

const std::array kLooks{Look::Stopped, Look::Starting, Look::Running, Look::Degraded,
                        Look::Trouble};

// The parts of two shapes that are in one of them only, of those that are in either, in percent.
double differencePercent(const QImage& a, const QImage& b)
{
    double different = 0;
    double either = 0;
    for (int y = 0; y < a.height(); ++y) {
        for (int x = 0; x < a.width(); ++x) {
            int alphaA = qAlpha(a.pixel(x, y));
            int alphaB = qAlpha(b.pixel(x, y));
            different += std::abs(alphaA - alphaB);
            either += std::max(alphaA, alphaB);
        }
    }
    return either > 0 ? 100 * different / either : 0;
}

}  // namespace

class TestTrayView : public QObject {
    Q_OBJECT

private slots:
    void offersTheEngineThatIsNotInUse()
    {
        v1::State state = stateOf(v1::CONDITION_RUNNING);
        state.add_engines()->set_name("linux");
        state.mutable_engines(0)->set_in_use(true);
        QCOMPARE(trayView(state).otherEngine, QString());
        state.add_engines()->set_name("windows");
        QCOMPARE(trayView(state).otherEngine, QString("windows"));
        QCOMPARE(trayView(state).status, QString("Running: Docker 26.1.5, 1 container"));
        state.mutable_engines(0)->set_in_use(false);
        state.mutable_engines(1)->set_in_use(true);
        QCOMPARE(trayView(state).otherEngine, QString("linux"));
        QCOMPARE(trayView(state).status,
                 QString("Running: Windows containers, Docker 26.1.5, 1 container"));
        state.set_condition(v1::CONDITION_STOPPED);
        QCOMPARE(trayView(state).otherEngine, QString("linux"));
        state.set_condition(v1::CONDITION_STARTING);
        QCOMPARE(trayView(state).otherEngine, QString());
    }

    void tellsTheStateInWords_data()
    {
        QTest::addColumn<int>("condition");
        QTest::addColumn<QString>("reason");
        QTest::addColumn<QString>("status");
        QTest::addColumn<QString>("allowed");
        QTest::newRow("stopped") << int(v1::CONDITION_STOPPED) << ""
                                 << "Stopped"
                                 << "start";
        QTest::newRow("starting") << int(v1::CONDITION_STARTING) << "engine"
                                  << "Starting: engine"
                                  << "stop";
        QTest::newRow("running") << int(v1::CONDITION_RUNNING) << ""
                                 << "Running: Docker 26.1.5, 1 container"
                                 << "stop restart";
        QTest::newRow("degraded") << int(v1::CONDITION_DEGRADED) << "a port is refused"
                                  << "Degraded: a port is refused, Docker 26.1.5, 1 container"
                                  << "stop restart";
        QTest::newRow("stopping") << int(v1::CONDITION_STOPPING) << ""
                                  << "Stopping"
                                  << "";
        QTest::newRow("trouble") << int(v1::CONDITION_TROUBLE) << "dockerd keeps ending"
                                 << "Trouble: dockerd keeps ending"
                                 << "start stop restart";
    }
    void tellsTheStateInWords()
    {
        QFETCH(int, condition);
        QFETCH(QString, reason);
        auto view = trayView(stateOf(static_cast<v1::Condition>(condition), reason.toUtf8()));
        QTEST(view.status, "status");
        QTEST(allowedBy(view), "allowed");
        QVERIFY(view.toolTip.startsWith("Slipway: "));
        QVERIFY(view.toolTip.contains(reason));
    }

    void warningsAreInTheToolTip()
    {
        auto state = stateOf(v1::CONDITION_DEGRADED);
        state.add_warnings()->set_text("the disk is nearly full");
        QVERIFY(trayView(state).toolTip.endsWith("\n! the disk is nearly full"));
    }

    void aBridgeThatTellsNothingIsToldApart_data()
    {
        QTest::addColumn<int>("absence");
        QTest::addColumn<int>("look");
        QTest::addColumn<QString>("toolTip");
        QTest::addColumn<QString>("allowed");
        QTest::newRow("stopped") << int(Absence::Stopped) << int(Look::Stopped)
                                 << "Slipway\nStopped"
                                 << "start";
        QTest::newRow("machine goes on") << int(Absence::MachineGoesOn) << int(Look::Degraded)
                                         << "Slipway\nBridge not running; containers go on\n"
                                            "Ports and endpoint are away: choose Start"
                                         << "start stop";
        QTest::newRow("not yet heard")
            << int(Absence::NotYetHeard) << int(Look::Starting) << "Slipway\nWaiting for the bridge"
            << "";
        QTest::newRow("silent") << int(Absence::Silent) << int(Look::Trouble)
                                << "Slipway\nThe bridge does not answer\n"
                                   "In a terminal: slipway status"
                                << "";
    }
    void aBridgeThatTellsNothingIsToldApart()
    {
        QFETCH(int, absence);
        auto view = trayView(static_cast<Absence>(absence));
        QTEST(int(view.look), "look");
        QTEST(view.toolTip, "toolTip");
        QTEST(allowedBy(view), "allowed");
    }

    void shapesDifferInMonochrome_data()
    {
        QTest::addColumn<int>("size");
        for (int size : {16, 22, 24, 32, 48, 64}) QTest::addRow("%d px", size) << size;
    }
    void shapesDifferInMonochrome()
    {
        QFETCH(int, size);
        for (Look a : kLooks) {
            for (Look b : kLooks) {
                if (a == b) continue;
                auto percent = differencePercent(stateImage(a, size), stateImage(b, size));
                QVERIFY2(percent > 12,
                         qPrintable(QString("%1 and %2: %3").arg(int(a)).arg(int(b)).arg(percent)));
            }
        }
    }

    void theStartMoves()
    {
        for (int frame = 0; frame < kStartingFrames; ++frame)
            QVERIFY(stateImage(Look::Starting, 16, frame) !=
                    stateImage(Look::Starting, 16, frame + 1));
        QCOMPARE(stateImage(Look::Starting, 16, 0),
                 stateImage(Look::Starting, 16, kStartingFrames));
    }

    void isDrawnAtTheSizeAskedFor()
    {
        for (int size : {16, 19, 22, 44}) {
            auto image = stateIcon(Look::Running).pixmap(QSize(size, size), 1).toImage();
            QCOMPARE(image.convertToFormat(QImage::Format_ARGB32_Premultiplied),
                     stateImage(Look::Running, size));
        }
    }

    void nothingIsCutOff()
    {
        for (Look look : kLooks) {
            QImage image = stateImage(look, 32, 3);
            for (int i = 0; i < 32; ++i) {
                QCOMPARE(qAlpha(image.pixel(0, i)), 0);
                QCOMPARE(qAlpha(image.pixel(31, i)), 0);
            }
        }
    }
};

QTEST_MAIN(TestTrayView)
#include "tst_tray_view.moc"
