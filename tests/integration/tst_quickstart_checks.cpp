// packaging/quickstart on hosts it can't go on with, and on such as it should say something about:
// each case is made for real on a copy of this host, see fresh_host.
#include <filesystem>

#include <QTemporaryDir>
#include <QtTest>

#include <unistd.h>

#include "shared/process/child.h"

using namespace slipway;
using namespace std::chrono_literals;

class TestQuickstartChecks : public QObject {
    Q_OBJECT

    static Output onFreshHost(const QString& prepare, const QString& command)
    {
        QTemporaryDir folder;
        Command host;
        host.program = FRESH_HOST;
        host.args = {folder.path().toStdString(), prepare.toStdString(), command.toStdString()};
        auto output = run(host, 120s);
        return output ? *output : Output{-1, "", output.error().message};
    }

    // What it said and did, for messages.
    static QByteArray allOf(const Output& output)
    {
        return QByteArray::fromStdString(output.out + output.err);
    }

private slots:
    void initTestCase()
    {
        if (::geteuid() != 0) QSKIP("needs root to make a copy of this host; run: sudo tests/run");
        Output tried = onFreshHost("true", "true");
        if (tried.exitCode != 0)
            QSKIP(qPrintable(
                "no overlay over / in a mount namespace: " + allOf(tried).trimmed() +
                "; run the tests on a Linux of its own, or in a container with --privileged"));
    }

    void tellsAndChangesNothing_data()
    {
        QTest::addColumn<QString>("prepare");
        QTest::addColumn<QString>("command");
        QTest::addColumn<QStringList>("told");
        const QString run = "packaging/quickstart";
        const QString other =
            "set_debian 11; ";  // In the way, so that it goes no further than to tell.

        QTest::newRow("another Debian")
            << other << run
            << QStringList{"this is Debian 11; the packages Slipway is built from are Debian 12's",
                           "-> run it on Debian 12"};
        QTest::newRow("path too long")
            << "long=$(printf 'x%.0s' {1..90}); mkdir $long; mv packaging build $long; cd $long"
            << run
            << QStringList{"is too long: sockets below it need 143 characters, a socket has 107",
                           "-> move the clone to a path that is 36 characters shorter"};
        QTest::newRow("no namespaces")
            << ""
            << "as_root_without sys_admin " + run
            << QStringList{"sandbox no", "refuses new namespaces",
                           "-> in a container: start it with --privileged", "gVisor can't"};
        QTest::newRow("no namespaces for a user")
            << ""
            << "as_user_without_namespaces " + run
            << QStringList{"sandbox no", "this user may not make namespaces",
                           "-> have root run: sysctl -w kernel.unprivileged_userns_clone=1"};
        QTest::newRow("cgroups read-only")
            << "with_read_only_cgroups" << run
            << QStringList{"/sys/fs/cgroup", " is read-only",
                           "-> in a container: start it with --privileged"};
        QTest::newRow("no cgroups") << "umount --recursive /sys/fs/cgroup" << run
                                    << QStringList{"no cgroups are mounted at /sys/fs/cgroup",
                                                   "--privileged --cgroupns=private"};
        QTest::newRow("little disk")
            << "mount -o remount,size=50m /clone" << run
            << QStringList{"50 MB are free at /clone; building and the machine need 1000 MB",
                           "-> free some"};
        QTest::newRow("little disk for a first run")
            << "mount -o remount,size=3000m /clone; rm -r build; set_archive file:/clone/archive"
            << run
            << QStringList{"3000 MB are free at /clone; building and the machine need 4000 MB"};
        QTest::newRow("little memory")
            << "with_free_memory 900" << run
            << QStringList{"900 MB of memory are free; building needs 1500 MB",
                           "-> end other programs"};
        QTest::newRow("no network")
            << "without_package inotify-tools; rm -r build; set_archive http://127.0.0.1:9/debian"
            << run
            << QStringList{
                   "can't be reached; still to be fetched: packages inotify-tools; the machine's "
                   "root "
                   "file system; Docker's command line",
                   "-> check the network"};
        QTest::newRow("no archive")
            << "without_package inotify-tools; set_archive" << run
            << QStringList{"apt has no source of Debian's suite bookworm", "-> add one"};
        QTest::newRow("a user, packages missing")
            << "without_package inotify-tools; set_archive file:/clone/archive"
            << "as_user " + run
            << QStringList{"packages are missing, and only root installs",
                           "-> as root: apt-get update && apt-get install --no-install-recommends "
                           "--no-remove "
                           "inotify-tools\n"};
        QTest::newRow("a user without a range of ids")
            << ""
            << "as_user " + run
            << QStringList{"nobody has no range in /etc/subuid",
                           "-> have root run: usermod --add-subuids 100000-165535 --add-subgids "
                           "100000-165535 nobody"};
        QTest::newRow("all at once")
            << "set_debian 11; with_free_memory 900; with_read_only_cgroups" << run
            << QStringList{"this is Debian 11", "900 MB of memory", "is read-only"};

        QTest::newRow("the kernel has FUSE, but no node is there")
            << other + "with_nodes_only" << run << QStringList{"/dev/fuse yes"};
        QTest::newRow("a node of FUSE may not be made")
            << other + "with_nodes_only"
            << "as_root_without mknod " + run
            << QStringList{"/dev/fuse no", "files=direct only",
                           "start this container with --device /dev/fuse"};
        QTest::newRow("the kernel lists no FUSE")
            << other + "without_fuse_in_kernel" << run
            << QStringList{"/dev/fuse no", "files=direct only", "modprobe fuse"};
        QTest::newRow("FUSE is not for a user")
            << other + "with_nodes_only; mknod -m 600 /dev/fuse c 10 229"
            << "as_user " + run
            << QStringList{"/dev/fuse no",
                           "/dev/fuse is not for nobody; as root: chmod 666 /dev/fuse"};
        QTest::newRow("no nftables in the kernel")
            << other << "as_root_without net_admin " + run
            << QStringList{"no NAT", "published ports work, containers have no way out",
                           "modprobe -a nf_tables"};
        QTest::newRow("engines of the user's own")
            << other +
                   "with_package docker-ce 5:27.3.1-1~debian.12; with_package podman 4.3.1+ds1-8; "
                   "mkdir -p /run; python3 -c 'import socket; "
                   "socket.socket(socket.AF_UNIX).bind(\"/run/docker.sock\")'"
            << run
            << QStringList{"found: docker-ce 27.3.1 at /var/run/docker.sock; left alone",
                           "found: podman 4.3.1; left alone"};
        QTest::newRow("DOCKER_HOST") << other << "DOCKER_HOST=tcp://192.0.2.1:2375 " + run
                                     << QStringList{
                                            "DOCKER_HOST=tcp://192.0.2.1:2375 is set and overrides "
                                            "contexts: unset it, or use "
                                            "docker --context"};
        QTest::newRow("no display")
            << other << run
            << QStringList{"display no",
                           "tray not started: no display; in a session of yours run "
                           "build/release/bin/slipway-desktop"};
        QTest::newRow("GNOME") << other << "DISPLAY=:9 XDG_CURRENT_DESKTOP=GNOME " + run
                               << QStringList{"display yes",
                                              "apt-get install gnome-shell-extension-appindicator"};
    }
    void tellsAndChangesNothing()
    {
        QFETCH(QString, prepare);
        QFETCH(QString, command);
        QFETCH(QStringList, told);
        Output output = onFreshHost(prepare, command);
        QByteArray all = allOf(output);
        for (const QString& words : told) QVERIFY2(all.contains(words.toUtf8()), all);
        QVERIFY2(all.contains("Nothing has been changed. What is in the way:\n"), all);
        QVERIFY2(!all.contains("[2/7]"), all);
        QVERIFY2(QByteArray::fromStdString(output.out).endsWith("changed:\n"), all);
        QCOMPARE(output.exitCode, 1);
    }

    // Process 1 holds the lock, and is one that reaps no orphans: what is ended stays a zombie.
    void waitsForAptsLockAndNamesItsHolder()
    {
        Output output =
            onFreshHost("without_package inotify-tools; set_archive file:/clone/archive",
                        "unshare --pid --fork --mount-proc python3 -c '\n"
                        "import fcntl, subprocess, sys\n"
                        "lock = open(\"/var/lib/dpkg/lock-frontend\", \"w\")\n"
                        "fcntl.lockf(lock, fcntl.LOCK_EX)\n"
                        "quickstart = subprocess.Popen([\"packaging/quickstart\"],\n"
                        "                              stdout=subprocess.PIPE, text=True)\n"
                        "for line in quickstart.stdout:\n"
                        "    print(line, end=\"\", flush=True)\n"
                        "    if \"waiting for\" in line:\n"
                        "        while subprocess.run([\"pgrep\", \"--exact\", \"sleep\"],\n"
                        "                             stdout=subprocess.DEVNULL).returncode: pass\n"
                        "        quickstart.terminate()\n"
                        "sys.exit(quickstart.wait())'");
        QByteArray all = allOf(output);
        QVERIFY2(all.contains("waiting for python3 (pid 1), which holds apt's lock"), all);
        QVERIFY2(!all.contains("[2/7]"), all);
        QVERIFY2(all.contains("Stopped. packaging/quickstart goes on from here."), all);
        QCOMPARE(output.exitCode, 130);
        QVERIFY2(all.contains("changed:\n"), all);
    }

    void seesTheHolderWhileOtherLocksComeAndGo()
    {
        Output output = onFreshHost(
            "hold_apt_lock; . packaging/linux/packages.sh",
            "python3 -c '\n"
            "import fcntl\n"
            "files = [open(f\"/mnt/{i}\", \"w\") for i in range(20)]\n"
            "while True:\n"
            "    for how in fcntl.LOCK_EX, fcntl.LOCK_UN:\n"
            "        for file in files: fcntl.lockf(file, how)\n"
            "' & for i in $(seq 100); do packages_lock_holder | cut -d' ' -f1; done | uniq -c; "
            "kill $!");
        QVERIFY2(QRegularExpression("^ *100 python3\n")
                     .match(QByteArray::fromStdString(output.out))
                     .hasMatch(),
                 allOf(output));
    }

    void takesNoOtherFileForTheLock()
    {
        Output output = onFreshHost(
            "for i in a b; do mkdir /mnt/$i; mount -t tmpfs x /mnt/$i; : >/mnt/$i/lock; done; "
            "[ $(stat -c %i /mnt/a/lock) = $(stat -c %i /mnt/b/lock) ]; "
            "mount --bind /mnt/a/lock /var/lib/dpkg/lock-frontend; hold_apt_lock /mnt/b/lock; "
            ". packaging/linux/packages.sh",
            "packages_lock_holder");
        QCOMPARE(allOf(output), QByteArray("changed:\n"));
    }

    void goesOnWithoutTheLocksHolder()
    {
        Output output = onFreshHost("hold_apt_lock; . packaging/linux/packages.sh",
                                    "packages_wait_for_lock 60 | while read -r line; do echo "
                                    "\"$line\"; kill $holder; done; [ $PIPESTATUS = 0 ]");
        QVERIFY2(output.out.starts_with("packages: waiting for python3 (pid "), allOf(output));
        QVERIFY2(output.exitCode == 0, allOf(output));
    }

    void givesUpWhenTheLockIsHeldTooLong()
    {
        Output output =
            onFreshHost("hold_apt_lock; . packaging/linux/packages.sh", "packages_wait_for_lock 1");
        QVERIFY2(output.err.find(
                     "has held apt's lock for 1 s: let it finish, or end it, and run this again") !=
                     std::string::npos,
                 allOf(output));
        QCOMPARE(output.exitCode, 1);
    }
};

QTEST_GUILESS_MAIN(TestQuickstartChecks)
#include "tst_quickstart_checks.moc"
