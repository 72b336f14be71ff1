// A whole Slipway on a stock Debian 12: its own kernel with modules, systemd and cgroup v2 alone,
// under QEMU without KVM. stock_debian/inside plays a round as root with files = direct, one with
// files = fuse and one as an ordinary user, and reports lines of `ROUND NAME: VALUE`; what these
// must be is said here.
#include <cstdlib>
#include <filesystem>
#include <map>

#include <QFile>
#include <QtTest>

#include <unistd.h>

#include "shared/process/child.h"

using namespace slipway;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class TestStockDebian : public QObject {
    Q_OBJECT

private slots:
    void initTestCase();
    void isAStockDebian();
    void loadsTheModulesItNeeds();
    void runsAContainer_data() { rounds(); }
    void runsAContainer();
    void keepsALimit_data() { rounds(); }
    void keepsALimit();
    void startsFromAUsersTerminal();
    void leavesNothingBehind_data() { rounds(); }
    void leavesNothingBehind();

private:
    void rounds();
    void read(const fs::path& report);
    QString seen(const QString& name) const
    {
        auto found = m_seen.find(name);
        return found == m_seen.end() ? "nothing; see build/stock_debian/console" : found->second;
    }

    std::map<QString, QString> m_seen;
};

// Compares with what the guest said of `name`, and shows both.
#define SAID(name, value) QCOMPARE(seen(name), QString(value))

void TestStockDebian::initTestCase()
{
    if (::geteuid() != 0) QSKIP("a disk image with files of root needs root; run: sudo tests/run");
    for (const char* tool : {"qemu-system-x86_64", "mmdebstrap", "cpio", "mke2fs"})
        if (!isInstalled(tool))
            QSKIP(qPrintable(QString("%1 is not installed; run tests/run as root").arg(tool)));
    const char* bin = std::getenv("SLIPWAY_BIN");
    const char* rootfs = std::getenv("SLIPWAY_ROOTFS");
    if (!bin || !rootfs || !fs::exists(rootfs))
        QSKIP("SLIPWAY_BIN and SLIPWAY_ROOTFS name nothing; run it through tests/run");

    fs::path folder = STOCK_DEBIAN_BUILD;
    fs::create_directories(folder);
    for (const char* file : {"console", "report"}) fs::remove(folder / file);

    Command make;
    make.program = STOCK_DEBIAN "/make_disk";
    make.args = {bin, folder};
    auto made = outputOf(make, 900s);
    QVERIFY2(made, made ? "" : made.error().message.c_str());

    Command boot;
    boot.program = STOCK_DEBIAN "/boot";
    boot.args = {folder};
    auto booted = outputOf(boot, 2400s);
    read(folder / "report");
    QVERIFY2(booted, booted ? "" : booted.error().message.c_str());
    SAID("system end", "reached");
    fs::remove(folder / "disk");  // Large, and made anew each time.
}

void TestStockDebian::read(const fs::path& report)
{
    QFile file(QString::fromStdString(report.string()));
    if (!file.open(QIODevice::ReadOnly)) return;
    for (const QString& line : QString::fromUtf8(file.readAll()).split('\n')) {
        qInfo("%s", qPrintable(line.trimmed()));
        auto colon = line.indexOf(": ");
        if (colon > 0) m_seen[line.left(colon)] = line.mid(colon + 2).trimmed();
    }
}

void TestStockDebian::rounds()
{
    QTest::addColumn<QString>("made");
    QTest::addColumn<QString>("owner");
    QTest::newRow("direct") << "cgroup context link net.ipv4.ip_forward nft process"
                            << "root";
    QTest::newRow("fuse") << "cgroup context link net.ipv4.ip_forward nft process"
                          << "root";
    QTest::newRow("rootless") << "cgroup context process"
                              << "ann";
}

// What the guest said of this row's round.
#define ROUND_SAID(name, value) SAID(QString(QTest::currentDataTag()) + " " name, value)

void TestStockDebian::isAStockDebian()
{
    SAID("system name", "Debian GNU/Linux 12 (bookworm)");
    SAID("system init", "systemd");
    SAID("system cgroup", "cgroup2fs");
}

void TestStockDebian::loadsTheModulesItNeeds()
{
    SAID("system modules", "");
    SAID("direct modules", "br_netfilter bridge ip_vs iptable_nat nft_compat overlay veth");
}

void TestStockDebian::runsAContainer()
{
    QFETCH(QString, owner);
    ROUND_SAID("start", "exit 0");
    ROUND_SAID("status", "exit 0");
    ROUND_SAID("run", "exit 0");
    ROUND_SAID("fetch", "from the host");
    ROUND_SAID("edit", "edited on the host");
    ROUND_SAID("event", "index.html");
    ROUND_SAID("owner", owner);  // Of what root in the container has written.
}

void TestStockDebian::keepsALimit()
{
    ROUND_SAID("limit", "67108864");
}

// A group of the user's, but with a shell in it, so that it can't hand down controllers.
void TestStockDebian::startsFromAUsersTerminal()
{
    SAID("terminal start", "exit 0");
    SAID("terminal stop", "exit 0");
}

void TestStockDebian::leavesNothingBehind()
{
    QFETCH(QString, made);
    ROUND_SAID("made", made);  // Else nothing could be left over.
    ROUND_SAID("stop", "exit 0");
    ROUND_SAID("left over", "");
}

QTEST_APPLESS_MAIN(TestStockDebian)
#include "tst_stock_debian.moc"
