// What `slipway status` adds up of the engine's own account of the disk.
#include <QTest>

#include "wsl-bridge/engine/disk_usage.h"

using namespace slipway;

class TestDiskUsage : public QObject {
    Q_OBJECT

private slots:
    void addsWhatIsCountedOnce()
    {
        auto bytes = diskBytesOf(R"({"LayersSize": 1000, "Images": [{"Size": 700}, {"Size": 800}],
            "Containers": [{"SizeRw": 20, "SizeRootFs": 900}, {"Id": "has written nothing"}],
            "Volumes": [{"UsageData": {"Size": 300}}, {"UsageData": {"Size": -1}}, {}],
            "BuildCache": [{"Size": 4, "Shared": false}, {"Size": 500, "Shared": true}]})");
        QVERIFY(bytes.has_value());
        QCOMPARE(*bytes, std::uint64_t(1324));
    }

    void anEmptyEngineTakesNothing()
    {
        auto bytes = diskBytesOf(R"({"LayersSize": 0, "Containers": null, "BuildCache": null})");
        QVERIFY(bytes.has_value());
        QCOMPARE(*bytes, std::uint64_t(0));
    }

    void anythingElseIsRefused()
    {
        QVERIFY(!diskBytesOf("[]").has_value());
        QVERIFY(!diskBytesOf("{").has_value());
    }
};

QTEST_APPLESS_MAIN(TestDiskUsage)
#include "tst_disk_usage.moc"
