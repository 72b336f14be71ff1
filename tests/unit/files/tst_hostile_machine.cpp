// Whatever a machine sends, its file server reaches nothing beside what was granted: some seconds
// of requests by chance. tests/fuzz does the same for as long as one likes.
#include <chrono>
#include <random>

#include <QtTest>

#include "tests/fuzz/hostile_machine.h"

using namespace slipway::test;

class TestHostileMachine : public QObject {
    Q_OBJECT

private slots:
    void reachesOnlyWhatIsGranted()
    {
        constexpr std::chrono::seconds kLong{5};
        std::mt19937 chosen(7);
        auto end = std::chrono::steady_clock::now() + kLong;
        int scripts = 0;
        for (; std::chrono::steady_clock::now() < end; ++scripts) {
            std::string script(chosen() % 2000, '\0');
            // Small numbers lead to names and nodes that there are.
            bool small = chosen() % 2;
            for (char& byte : script) byte = static_cast<char>(chosen() % (small ? 40 : 256));
            std::string reached = reachedBeyondGrant(script);
            QVERIFY2(
                reached.empty(),
                (reached + ": " + QByteArray::fromStdString(script).toHex().toStdString()).c_str());
        }
        QVERIFY(scripts > 20);
    }
};

QTEST_APPLESS_MAIN(TestHostileMachine)
#include "tst_hostile_machine.moc"
