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
        auto view =
            trayView(stateOf(static_cast<v1::Condition>(condition), reason.toUtf8()), false);
        QTEST(view.status, "status");
        QStringList allowed;
        if (view.canStart) allowed << "start";
        if (view.canStop) allowed << "stop";
        if (view.canRestart) allowed << "restart";
        QTEST(allowed.join(' '), "allowed");
        QVERIFY(view.toolTip.startsWith("Slipway: "));
        QVERIFY(view.toolTip.contains(reason));
    }

    void warningsAreInTheToolTip()
    {
        auto state = stateOf(v1::CONDITION_DEGRADED);
        state.add_warnings()->set_text("the disk is nearly full");
        QVERIFY(trayView(state, false).toolTip.endsWith("\n! the disk is nearly full"));
    }

    void withoutABridgeTheMachineDecides()
    {
        auto gone = trayView(std::nullopt, false);
        QCOMPARE(gone.status, QString("Stopped"));
        QVERIFY(gone.canStart && !gone.canStop);
        auto orphaned = trayView(std::nullopt, true);
        QCOMPARE(orphaned.status, QString("Bridge not running; the engine goes on"));
        QVERIFY(orphaned.canStart && orphaned.canStop);
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

QTEST_APPLESS_MAIN(TestTrayView)
#include "tst_tray_view.moc"
