// Slipway on hosts that lack something. All of it happens on a host of the test's own; what is
// taken away from it is in tests/support/host_cases.sh.
#include <fstream>

#include <QtTest>
#include <fmt/format.h>

#include "tests/support/own_host.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::string allOf(const Output& output)
{
    return output.out + output.err;
}

}  // namespace

class TestSurroundings : public QObject {
    Q_OBJECT

    std::unique_ptr<SlipwayFixture> m_slipway;
    std::string m_atTheEnd;  // A script.

    void use(const std::string& settings = {})
    {
        m_slipway = std::make_unique<SlipwayFixture>(settings);
    }
    bool statusSays(const std::string& words)
    {
        Output status = m_slipway->slipway({"status"});
        if (has(status.out, words)) return true;
        qWarning("slipway status does not say \"%s\":\n%s", words.c_str(), status.out.c_str());
        return false;
    }

private slots:
    void initTestCase();
    void cleanup();

    void keepsItsDataElsewhereWhereTheHomeIsOnAnOverlay_data();
    void keepsItsDataElsewhereWhereTheHomeIsOnAnOverlay();
    void worksWithWhateverNatThereIs_data();
    void worksWithWhateverNatThereIs();
    void makesANodeOfFuseWhereThereIsNone();
    void refusesFilesThroughFuseWhereThereIsNone();
    void namesWhatAContainerForbids_data();
    void namesWhatAContainerForbids();
    void loadsModulesBeforeTheMachineStarts();
};

void TestSurroundings::initTestCase()
{
    if (auto why = whyNoSlipway({"fuse", "nat"}); !why.empty()) QSKIP(why.c_str());
    auto entered = enterOwnHost();
    QVERIFY2(entered, entered ? "" : entered.error().message.c_str());
}

void TestSurroundings::cleanup()
{
    if (m_slipway && QTest::currentTestFailed()) m_slipway->tellLogs();
    m_slipway.reset();
    Output ended = bash(std::exchange(m_atTheEnd, {}));
    QVERIFY2(ended.exitCode == 0, ended.err.c_str());
}

// --- A host as inside a container: the file system.

void TestSurroundings::keepsItsDataElsewhereWhereTheHomeIsOnAnOverlay_data()
{
    QTest::addColumn<QString>("prepare");
    QTest::addColumn<QString>("said");
    QTest::addColumn<bool>("kept");
    QTest::newRow("on an image") << ""
                                 << "is on an overlay, so images and containers are kept in /tmp/"
                                 << true;
    QTest::newRow("in memory")
        << "with_nodes_only fuse net/tun"
        << "so images and containers are kept in memory and are gone after a stop" << false;
}

void TestSurroundings::keepsItsDataElsewhereWhereTheHomeIsOnAnOverlay()
{
    QFETCH(QString, prepare);
    QFETCH(QString, said);
    QFETCH(bool, kept);
    Output overlay = bash(
        "mkdir /run/{overlay,overlay/lower,overlay/upper,overlay/work}\n"
        "mount -t overlay -o "
        "lowerdir=/run/overlay/lower,upperdir=/run/overlay/upper,workdir=/run/overlay/work "
        "overlay /tmp\n"
        "chmod 1777 /tmp\n");
    QVERIFY2(overlay.exitCode == 0, overlay.err.c_str());
    m_atTheEnd = "umount --lazy /tmp; rm -r /run/overlay";
    use();
    Output started = inWorld(*m_slipway, prepare.toStdString(), kStart);
    QVERIFY2(started.exitCode == 0, started.err.c_str());
    QVERIFY(statusSays(said.toStdString()));
    QVERIFY(statusSays("point SLIPWAY_HOME at a folder on ext4, xfs or btrfs"));
    QVERIFY(m_slipway->makeImage());
    QCOMPARE(m_slipway->docker({"info", "-f", "{{.Driver}}"}).out, std::string("overlay2\n"));
    QCOMPARE(m_slipway->docker({"run", "--rm", "box", "echo", "works"}).out,
             std::string("works\n"));

    QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
    QCOMPARE(!m_slipway->docker({"image", "ls", "-q", "box"}).out.empty(), kept);
    QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
    auto left = LeftOvers::of(m_slipway->home()).things;
    QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
}

// --- A kernel without this or that.

void TestSurroundings::worksWithWhateverNatThereIs_data()
{
    QTest::addColumn<QStringList>("missingInMachine");  // Backends of iptables.
    QTest::addColumn<QString>("prepare");
    QTest::addColumn<QString>("logged");
    QTest::addColumn<QString>("network");
    QTest::addColumn<QStringList>("warnings");
    // A host's own iptables, which is not installed here: the machine's.
    const QString iptables =
        "failing_tools nft; with_tool iptables \"exec chroot $SLIPWAY_ROOTFS "
        "/usr/sbin/xtables-nft-multi "
        "iptables \\\"\\$@\\\"\"";
    QTest::newRow("no legacy") << QStringList{"legacy"} << ""
                               << "NAT by iptables-nft"
                               << "nat" << QStringList{};
    QTest::newRow("none in the machine")
        << QStringList{"legacy", "nft"} << ""
        << "NAT by nothing"
        << "nat"
        << QStringList{"the kernel has no address translation", "load the kernel's nf_nat"};
    QTest::newRow("iptables on the host") << QStringList{} << iptables << "NAT by iptables"
                                          << "nat" << QStringList{};
    QTest::newRow("none on the host")
        << QStringList{"legacy", "nft"} << "failing_tools nft iptables"
        << "NAT by nothing"
        << "slirp4netns"
        << QStringList{"no NAT: ", "nft: Operation not supported",
                       "see that the kernel has nf_tables"};
    QTest::newRow("nothing at all")
        << QStringList{"legacy", "nft"} << "failing_tools nft iptables slirp4netns"
        << "NAT by nothing"
        << "none"
        << QStringList{"no NAT: ", "no slirp4netns: ", "the machine has no network of its own",
                       "published ports work"};
}

void TestSurroundings::worksWithWhateverNatThereIs()
{
    QFETCH(QStringList, missingInMachine);
    QFETCH(QString, prepare);
    QFETCH(QString, logged);
    QFETCH(QString, network);
    QFETCH(QStringList, warnings);
    use();
    auto rules = [] {
        return bash(
                   "nft -s list ruleset | grep -iE \"slipway|ip saddr\" || true; cat "
                   "/proc/sys/net/ipv4/ip_forward")
            .out;
    };
    std::string before = rules();
    Output started = inWorld(*m_slipway, prepare.toStdString(), kStart);
    QVERIFY2(started.exitCode == 0, started.err.c_str());
    for (const QString& backend : missingInMachine) {
        auto enter = fmt::format("nsenter -t {} -m ", m_slipway->machinePid());
        QCOMPARE(
            bash(enter + "ln -sf /bin/false /usr/sbin/xtables-" + backend.toStdString() + "-multi")
                .exitCode,
            0);
    }
    if (!missingInMachine.isEmpty()) QCOMPARE(m_slipway->slipway({"restart"}).exitCode, 0);
    std::ifstream log(m_slipway->home().logDir() / "agent.log");
    std::string agentLog(std::istreambuf_iterator<char>(log), {});
    std::string chosen = agentLog.substr(std::min(agentLog.rfind("NAT by "), agentLog.size()));
    QVERIFY2(chosen.starts_with(logged.toStdString()), agentLog.c_str());
    QCOMPARE(machineText(*m_slipway, "network"), network.toStdString());
    for (const QString& words : warnings) QVERIFY(statusSays(words.toStdString()));
    QVERIFY(m_slipway->status(0));

    QVERIFY(m_slipway->makeImage());
    int port = freePort();
    Output web = m_slipway->docker({"run", "-d", "-p", fmt::format("127.0.0.1:{}:80", port), "box",
                                    "sh", "-c", serving("web")});
    QVERIFY2(web.exitCode == 0, web.err.c_str());
    QVERIFY(serves(port, "web"));
    Output stopped = m_slipway->slipway({"stop"});
    QVERIFY2(stopped.exitCode == 0, stopped.err.c_str());
    QCOMPARE(rules(), before);
}

void TestSurroundings::makesANodeOfFuseWhereThereIsNone()
{
    use(R"({"files": "fuse"})");
    Output started = inWorld(*m_slipway, "with_nodes_only net/tun", kStart);
    QVERIFY2(started.exitCode == 0, started.err.c_str());
    QVERIFY(statusSays("Files     fuse"));
    QVERIFY(m_slipway->makeImage());
    std::ofstream(m_slipway->workDir() / "text") << "through the relay\n";
    QCOMPARE(m_slipway
                 ->docker({"run", "--rm", "-v", m_slipway->workDir().string() + ":/w", "box", "cat",
                           "/w/text"})
                 .out,
             std::string("through the relay\n"));
}

void TestSurroundings::refusesFilesThroughFuseWhereThereIsNone()
{
    use(R"({"files": "fuse"})");
    Output started = inWorld(*m_slipway, "with_nodes_only net/tun",
                             std::string("as_root_without mknod ") + kStart);
    QVERIFY(started.exitCode != 0);
    std::string said = allOf(started);
    QVERIFY2(has(said, "files = fuse can't work here: /dev/fuse: No such file or directory"),
             said.c_str());
    QVERIFY2(has(said, "--device /dev/fuse"), said.c_str());
    QVERIFY2(has(said, "set \"files\": \"direct\" in " + m_slipway->home().settingsFile().string()),
             said.c_str());
    QVERIFY(statusSays("files = fuse can't work here"));
}

// --- A container without privileges.

void TestSurroundings::namesWhatAContainerForbids_data()
{
    QTest::addColumn<QString>("prepare");
    QTest::addColumn<QString>("command");
    QTest::addColumn<QStringList>("said");
    QTest::newRow("cgroups read-only")
        << "with_read_only_cgroups" << kStart
        << QStringList{"make cgroup /sys/fs/cgroup", "Read-only file system",
                       "start that container with --privileged"};
    QTest::newRow("no namespaces") << "" << QString("as_root_without sys_admin ") + kStart
                                   << QStringList{"make namespaces: ", "Operation not permitted",
                                                  "start that container with --privileged"};
}

void TestSurroundings::namesWhatAContainerForbids()
{
    QFETCH(QString, prepare);
    QFETCH(QString, command);
    QFETCH(QStringList, said);
    use();
    Output started = inWorld(*m_slipway, prepare.toStdString(), command.toStdString());
    QVERIFY(started.exitCode != 0);
    for (const QString& words : said) {
        QVERIFY2(has(allOf(started), words.toStdString()), allOf(started).c_str());
        QVERIFY(statusSays(words.toStdString()));
    }
    QVERIFY(m_slipway->status(5));
    QCOMPARE(m_slipway->slipway({"uninstall", "--yes"}).exitCode, 0);
    auto left = LeftOvers::of(m_slipway->home()).things;
    QVERIFY2(left.empty(), left.empty() ? "" : left.front().c_str());
}

// --- A kernel with modules. Here it has none, so what the bridge asks of modprobe is all there is
// to see.

void TestSurroundings::loadsModulesBeforeTheMachineStarts()
{
    use();
    Output started =
        inWorld(*m_slipway,
                "mkdir -p /mnt/lib/{upper/modules/$(uname -r),work}\n"
                "mount -t overlay -o "
                "lowerdir=/usr/lib,upperdir=/mnt/lib/upper,workdir=/mnt/lib/work lib /usr/lib\n"
                "with_tool modprobe \"echo \\\"\\$@\\\" >$SLIPWAY_HOME/asked; "
                "[ ! -e $SLIPWAY_HOME/run/machine.json ] || echo late >>$SLIPWAY_HOME/asked\"",
                kStart);
    QVERIFY2(started.exitCode == 0, started.err.c_str());
    std::ifstream asked(m_slipway->home().root / "asked");
    std::string words;
    std::getline(asked, words, '\0');
    for (const char* module : {"-a", "overlay", "fuse", "veth", "bridge", "br_netfilter",
                               "nft_masq", "nft_chain_nat", "iptable_nat", "tun", "loop"})
        QVERIFY2(has(" " + words, fmt::format(" {} ", module)), words.c_str());
    QVERIFY2(!has(words, "late"), words.c_str());
}

QTEST_GUILESS_MAIN(TestSurroundings)
#include "tst_surroundings.moc"
