// Looking again before sleeping.
#include <thread>

#include <QtTest>

#include "shared/io/eager_wait.h"

using slipway::EagerWait;
using namespace std::chrono_literals;

class TestEagerWait : public QObject {
    Q_OBJECT

private slots:
    void sleepsAtFirst()
    {
        EagerWait wait;
        int looks = 0;
        int got = wait([&] { return ++looks, std::optional<int>(1); }, [] { return 2; });
        QCOMPARE(got, 2);
        QCOMPARE(looks, 0);
    }

    void looksAfterSomethingCameSoon()
    {
        EagerWait wait;
        wait([] { return std::optional<int>(); }, [] { return 0; });
        int looks = 0;
        int got = wait([&] { return ++looks < 3 ? std::nullopt : std::optional(looks); },
                       [] { return -1; });
        QCOMPARE(got, 3);
    }

    void sleepsWhenNothingComes()
    {
        EagerWait wait;
        auto nothing = [] { return std::optional<int>(); };
        wait(nothing, [] { return 0; });
        auto late = [] {
            auto then = std::chrono::steady_clock::now() + 1ms;
            while (std::chrono::steady_clock::now() < then) std::this_thread::yield();
            return 7;
        };
        QCOMPARE(wait(nothing, late), 7);
        int looks = 0;
        QCOMPARE(wait([&] { return ++looks, std::optional<int>(); }, [] { return 8; }), 8);
        QCOMPARE(looks, 0);  // It came late the last time.
    }
};

QTEST_APPLESS_MAIN(TestEagerWait)
#include "tst_eager_wait.moc"
