// A whole Slipway on a stock Debian 12: its own kernel, systemd and cgroup v2, under QEMU without
// KVM. stock_debian/inside runs there and prints `stock: NAME: VALUE` on the serial console; what
// these must be is said here.
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
    void startsUnderSystemd();
    void runsAContainerWithABindMount();
    void publishesAPort();
    void stops();
    void leavesNothingBehind();

private:
    std::string seen(const std::string& name) const
    {
        auto found = m_seen.find(name);
        return found == m_seen.end() ? "nothing; the console is in " + m_console.string()
                                     : found->second;
    }

    fs::path m_console;
    std::map<std::string, std::string> m_seen;
};

// Compares with what the machine said of `name`, and shows both.
#define SAID(name, value) QCOMPARE(QString::fromStdString(seen(name)), QString(value))

void TestStockDebian::initTestCase()
{
    if (::geteuid() != 0) QSKIP("a disk image with files of root needs root; run: sudo tests/run");
    for (const char* tool : {"qemu-system-x86_64", "mmdebstrap", "cpio", "mke2fs"})
        if (!isInstalled(tool))
            QSKIP(qPrintable(QString("%1 is not installed; run tests/run as root").arg(tool)));
    const char* bin = std::getenv("SLIPWAY_BIN");
    if (!bin || !fs::exists(fs::path(bin) / "slipway-bridge"))
        QSKIP("SLIPWAY_BIN holds no slipway-bridge; run it through tests/run");

    // Beside the machine's root file system, which every preset shares.
    fs::path folder = fs::path(bin) / "../../stock_debian";
    fs::create_directories(folder);
    m_console = fs::canonical(folder) / "console";
    fs::remove(m_console);

    Command make;
    make.program = STOCK_DEBIAN "/make_disk";
    make.args = {bin, folder.string()};
    auto made = outputOf(make, 600s);
    QVERIFY2(made, made ? "" : made.error().message.c_str());

    // A processor that TCG emulates fast; `max` takes twice as long to start the engine.
    Command boot;
    boot.program = "qemu-system-x86_64";
    boot.args = {"-M",
                 "q35,accel=tcg",
                 "-cpu",
                 "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand",
                 "-smp",
                 "2",
                 "-m",
                 "2048",
                 "-nodefaults",
                 "-no-reboot",
                 "-display",
                 "none",
                 "-serial",
                 "file:" + m_console.string(),
                 "-kernel",
                 folder / "kernel",
                 "-initrd",
                 folder / "initrd",
                 "-append",
                 "console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on net.ifnames=0 "
                 "mitigations=off tsc=reliable systemd.show_status=0",
                 "-drive",
                 "file=" + (folder / "disk").string() + ",format=raw,if=none,id=disk",
                 "-device",
                 "virtio-blk-pci,drive=disk",
                 "-device",
                 "virtio-rng-pci"};
    auto booted = outputOf(boot, 600s);
    QFile console(QString::fromStdString(m_console.string()));
    QVERIFY(console.open(QIODevice::ReadOnly));
    const QString mark = "stock: ";
    for (const QString& line : QString::fromUtf8(console.readAll()).split('\n')) {
        qInfo("%s", qPrintable(line.trimmed()));
        auto at = line.indexOf(mark);
        auto colon = line.indexOf(": ", at + mark.size());
        if (at < 0 || colon < 0) continue;
        m_seen[line.mid(at + mark.size(), colon - at - mark.size()).toStdString()] =
            line.mid(colon + 2).trimmed().toStdString();
    }
    QVERIFY2(booted, booted ? "" : booted.error().message.c_str());
    SAID("end", "reached");
}

void TestStockDebian::isAStockDebian()
{
    SAID("system", "Debian GNU/Linux 12 (bookworm)");
    SAID("init", "systemd");
    SAID("cgroup", "cgroup2fs");
}

void TestStockDebian::startsUnderSystemd()
{
    SAID("start", "exit 0");
    SAID("status", "exit 0");
    QVERIFY2(seen("engine").starts_with("26.1."), seen("engine").c_str());
}

void TestStockDebian::runsAContainerWithABindMount()
{
    SAID("run", "exit 0");
    SAID("written", "from the container");
    SAID("limits", "seen in the container");
}

void TestStockDebian::publishesAPort()
{
    SAID("fetch", "from the host");
}

void TestStockDebian::stops()
{
    SAID("stop", "exit 0");
}

void TestStockDebian::leavesNothingBehind()
{
    SAID("made", "cgroup link nft process");  // Else nothing could be left over.
    SAID("left over", "");
}

QTEST_APPLESS_MAIN(TestStockDebian)
#include "tst_stock_debian.moc"
