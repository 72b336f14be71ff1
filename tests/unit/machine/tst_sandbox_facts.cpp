// What a sandbox works out before it touches the host: its network, names, users, cgroups.
#include <QTest>

#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/names.h"
#include "wsl-bridge/machine/sandbox/nat.h"
#include "wsl-bridge/machine/sandbox/subnet_choice.h"
#include "wsl-bridge/machine/sandbox/user_map.h"

using namespace slipway;

class TestSandboxFacts : public QObject {
    Q_OBJECT
private slots:
    void readsOnlyWholeSubnets_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("read");
        QTest::newRow("plain") << "10.213.7.0/24"
                               << "10.213.7.0/24";
        QTest::newRow("host bits are dropped") << "10.213.7.9/24"
                                               << "10.213.7.0/24";
        QTest::newRow("default route") << "0.0.0.0/0"
                                       << "0.0.0.0/0";
        QTest::newRow("no prefix") << "10.213.7.0"
                                   << "";
        QTest::newRow("prefix too long") << "10.213.7.0/33"
                                         << "";
        QTest::newRow("octet too large") << "10.256.7.0/24"
                                         << "";
        QTest::newRow("trailing text") << "10.213.7.0/24x"
                                       << "";
        QTest::newRow("empty") << ""
                               << "";
    }
    void readsOnlyWholeSubnets()
    {
        QFETCH(QString, text);
        auto subnet = parseSubnet(text.toStdString());
        QTEST(subnet ? QString::fromStdString(subnet->text()) : QString(), "read");
    }

    void choosesASubnetThatCollidesWithNothing()
    {
        std::vector<Subnet> taken = {*parseSubnet("0.0.0.0/0"), *parseSubnet("10.213.0.0/17"),
                                     *parseSubnet("10.213.128.0/24"),
                                     *parseSubnet("10.213.129.7/32")};
        for (unsigned seed : {0u, 5u, 128u, 129u, 255u, 4000000000u}) {
            auto chosen = chooseSubnet(taken, seed);
            QVERIFY(chosen.has_value());
            for (std::size_t i = 1; i < taken.size(); ++i) QVERIFY(!chosen->overlaps(taken[i]));
        }
        QCOMPARE(chooseSubnet({}, 7)->text(), std::string("10.213.7.0/24"));
    }

    void goesOnToOtherNetworksAndSaysWhenAllAreTaken()
    {
        std::vector<Subnet> taken = {*parseSubnet("10.0.0.0/8")};
        QCOMPARE(chooseSubnet(taken, 0)->text(), std::string("172.31.0.0/24"));
        taken.push_back(*parseSubnet("172.16.0.0/12"));
        QCOMPARE(chooseSubnet(taken, 0)->text(), std::string("192.168.0.0/24"));
        taken.push_back(*parseSubnet("192.168.0.0/16"));
        QVERIFY(!chooseSubnet(taken, 0));
    }

    void readsTheKernelsRoutes()
    {
        auto routes = routesOf(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
            "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
            "eth0\t0007D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
        QCOMPARE(routes.size(), 2u);
        QCOMPARE(routes[0].text(), std::string("0.0.0.0/0"));
        QCOMPARE(routes[1].text(), std::string("10.213.7.0/24"));
    }

    void theMachineAsksInTheDomainsOfItsHost()
    {
        QCOMPARE(machineResolvConf("# made by hand\nsearch lan\nnameserver 127.0.0.53\n"
                                   "nameserver 192.0.2.1\noptions edns0\n",
                                   "10.213.7.253"),
                 std::string("nameserver 10.213.7.253\nsearch lan\noptions edns0\n"));
    }

    void namesFitTheHostAndTellHomesApart()
    {
        auto one = machineNames("slipway-a.very-long-name-of-a-home", "/a/home");
        auto other = machineNames("slipway-a.very-long-name-of-a-home", "/b/home");
        QVERIFY(one.link.size() <= 15);
        QVERIFY(one.link != other.link && one.cgroup != other.cgroup &&
                one.nftTable != other.nftTable);
        QVERIFY(one.nftTable.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
                std::string::npos);
        QCOMPARE(machineNames("slipway", "/a/home").link, machineNames("slipway", "/a/home").link);
    }

    void findsTheRangeOfAUser_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<ulong>("first");
        QTest::newRow("by name") << "bob:1:65536\nann:100000:65536\n" << 100000ul;
        QTest::newRow("by number") << "1000:200000:65536\n" << 200000ul;
        QTest::newRow("too small, then large enough") << "ann:5:10\nann:300000:65535\n" << 300000ul;
        QTest::newRow("none") << "bob:1:65536\n" << 0ul;
        QTest::newRow("broken line") << "ann:x:65536\nann\n" << 0ul;
    }
    void findsTheRangeOfAUser()
    {
        QFETCH(QString, text);
        auto range = subIdsOf(text.toStdString(), "ann", 1000);
        QTEST(range ? range->first : 0ul, "first");
    }

    void namesTheChainThatDropsForwardedPackets()
    {
        std::string chains =
            "table ip nat {\n\tchain POSTROUTING {\n\t\ttype nat hook postrouting priority srcnat; "
            "policy accept;\n\t}\n}\ntable ip filter {\n\tchain FORWARD {\n\t\ttype filter hook "
            "forward priority filter; policy drop;\n\t}\n}\n";
        QCOMPARE(*droppingChain(chains), std::string("table ip filter chain FORWARD"));
        chains.replace(chains.find("policy drop"), 11, "policy accept");
        QVERIFY(!droppingChain(chains));
    }

    void findsEachCgroupHierarchyOnce()
    {
        auto mounts = parseMountInfo(
            "30 20 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup "
            "rw,cpu,cpuacct\n"
            "31 20 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup "
            "rw,xattr,release_agent=/x,name=systemd\n"
            "32 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            "33 20 0:25 / /elsewhere\\040cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            "34 20 8:1 / / rw - ext4 /dev/sda1 rw\n");
        QCOMPARE(mounts[3].point.string(), std::string("/elsewhere cpu"));
        auto hierarchies = cgroupHierarchies(mounts);
        QCOMPARE(hierarchies.size(), 3u);
        QCOMPARE(hierarchies[0].controllers, std::string("cpu,cpuacct"));
        QCOMPARE(hierarchies[1].controllers, std::string("name=systemd"));
        QCOMPARE(hierarchies[2].version, 2);
    }
};

QTEST_GUILESS_MAIN(TestSandboxFacts)
#include "tst_sandbox_facts.moc"
