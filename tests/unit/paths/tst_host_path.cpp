// Whose path a bind's source is, and its names on both sides.
#include <QtTest>

#include "shared/paths/host_path.h"

using namespace slipway;

class TestHostPath : public QObject {
    Q_OBJECT

private slots:
    void knowsWhosePathItIs_data()
    {
        QTest::addColumn<QString>("path");
        QTest::addColumn<int>("owner");
        auto row = [](const char* path, PathOwner owner) {
            QTest::newRow(path) << QString(path) << static_cast<int>(owner);
        };
        for (const char* path :
             {"/", "//", "/.", "/home/..", "/run", "/run/", "/run/udev", "/var/run",
              "/var/run/udev", "/sys", "/sys/fs/cgroup", "/proc", "/proc/1", "/dev", "/dev/shm",
              "/lib/modules", "/var/lib/docker", "/var/lib/docker/volumes"})
            row(path, PathOwner::Machine);
        for (const char* path : {"/home/ann", "/run/user", "/run/user/1000/x", "/var/run/user/1000",
                                 "/runner", "/devel", "/var/lib/dockerx", "/lib", "/var",
                                 "/mnt/host", "/process", "/home/ann/proc", "/run/../home"})
            row(path, PathOwner::Host);
        for (const char* path :
             {"/var/run/docker.sock", "/run/docker.sock", "/var//run/./docker.sock",
              "/home/ann/.slipway/docker.sock", "/home/ann/x/../.slipway/docker.sock"})
            row(path, PathOwner::DockerSocket);
    }
    void knowsWhosePathItIs()
    {
        QFETCH(QString, path);
        QFETCH(int, owner);
        QCOMPARE(static_cast<int>(ownerOf(path.toStdString(), {"/home/ann/.slipway/docker.sock"})),
                 owner);
    }

    void namesPathsOnBothSides()
    {
        QCOMPARE(toMachinePath("/home/ann/x"), std::string("/mnt/host/home/ann/x"));
        QCOMPARE(toHostPath("/mnt/host/home/ann/x"), std::optional<std::string>("/home/ann/x"));
        QCOMPARE(toHostPath("/mnt/host"), std::optional<std::string>("/"));
        QVERIFY(!toHostPath("/mnt/hostile"));
        QVERIFY(!toHostPath("/home/ann"));
    }

    void translatesMessages_data()
    {
        QTest::addColumn<QString>("message");
        QTest::addColumn<QString>("shown");
        QTest::newRow("path") << "no such file: /mnt/host/a/b"
                              << "no such file: /a/b";
        QTest::newRow("quoted") << "'/mnt/host/a' to \"/mnt/host/b c\""
                                << "'/a' to \"/b c\"";
        QTest::newRow("root") << "at /mnt/host: x"
                              << "at /: x";
        QTest::newRow("below the host's own") << "/mnt/host/mnt/host/x"
                                              << "/mnt/host/x";
        QTest::newRow("another folder's") << "/data/mnt/host/x"
                                          << "/data/mnt/host/x";
        QTest::newRow("longer name") << "/mnt/hostile"
                                     << "/mnt/hostile";
        QTest::newRow("bind") << "/mnt/host/a:/b"
                              << "/a:/b";
    }
    void translatesMessages()
    {
        QFETCH(QString, message);
        QFETCH(QString, shown);
        QCOMPARE(withHostPaths(message.toStdString()), shown.toStdString());
    }
};

QTEST_APPLESS_MAIN(TestHostPath)
#include "tst_host_path.moc"
