// The file of the claims that stand: what a new agent reads of it, and how large it grows.
#include <QTemporaryDir>
#include <QtTest>

#include "linux-vm-agent/ports/standing_file.h"

using namespace slipway;

namespace {

ClaimTable::Standing standing(Lease lease)
{
    return {lease, {"tcp", "0.0.0.0", static_cast<std::uint16_t>(lease), "172.17.0.2", 80, ""}};
}

}  // namespace

class TestStandingFile : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    std::filesystem::path path() const { return m_dir.filePath("ports").toStdString(); }
    QList<int> leases() const
    {
        QList<int> all;
        for (const auto& claim : StandingFile(path()).read()) all += static_cast<int>(claim.lease);
        return all;
    }

private slots:
    void cleanup() { std::filesystem::remove(path()); }

    void isReadByTheNextAgent()
    {
        StandingFile file(path());
        QVERIFY(file.read().empty());
        for (Lease lease : {3, 1, 2}) file.add(standing(lease));
        file.remove(1);
        file.remove(7);
        QCOMPARE(leases(), (QList<int>{2, 3}));
        StandingFile next(path());
        QVERIFY(next.read().front().port == standing(2).port);
        next.add(standing(4));
        next.remove(2);
        QCOMPARE(leases(), (QList<int>{3, 4}));
    }

    // A kill may leave half a line.
    void leavesOutWhatWasCutOff()
    {
        std::ofstream(path()) << "1 tcp 0.0.0.0 80 172.17.0.2 80\n2 tcp 0.0.0.0 8";
        QCOMPARE(leases(), QList<int>{1});
    }

    void doesNotGrowWithWhatIsGone()
    {
        StandingFile file(path());
        file.read();
        file.add(standing(1));
        auto largest = std::uintmax_t{0};
        for (Lease lease = 2; lease < 2000; ++lease) {
            file.add(standing(lease));
            file.remove(lease);
            largest = std::max(largest, std::filesystem::file_size(path()));
        }
        QVERIFY2(largest < 8192, std::to_string(largest).c_str());
        QCOMPARE(leases(), QList<int>{1});
    }
};

QTEST_GUILESS_MAIN(TestStandingFile)
#include "tst_standing_file.moc"
