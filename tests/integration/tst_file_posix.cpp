// The share answers as the host's own file system does: every case of posix_cases.h, on both.
#include <map>

#include "tests/integration/file_world.h"
#include "tests/integration/posix_cases.h"
#include "tests/support/files/posix_script.h"

using namespace slipway;
using namespace slipway::test;

namespace {

// Where the share may answer otherwise, and why.
constexpr std::string_view kNoRanges =
    "fuse_file_fallocate() knows KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE";
constexpr std::string_view kNoDevices =
    "a device that a container made would be a real one on the host; the mount is nodev too";
const std::map<std::string_view, std::string_view> kDifferences = {
    {"a range is taken out", kNoRanges},
    {"a range is put in", kNoRanges},
    {"a range that is no block is taken out", kNoRanges},
    {"direct reads and writes need whole blocks", "FUSE's direct I/O may begin and end anywhere"},
    {"character devices", kNoDevices},
    {"block devices", kNoDevices},
    {"a whiteout", "of use to overlays alone, whose upper folder can't lie on FUSE"},
};

}  // namespace

class TestFilePosix : public QObject {
    Q_OBJECT

private slots:
    void initTestCase()
    {
        if (auto lack = FileWorld::lacks(); !lack.isEmpty()) QSKIP(qPrintable(lack));
        m_world = std::make_unique<FileWorld>();
        m_world->start();
        m_native = m_world->base + "/native";
        QVERIFY(::mkdir(m_native.c_str(), 0755) == 0);
    }
    void cleanupTestCase() { m_world.reset(); }

    void answersAsTheHost_data()
    {
        QTest::addColumn<int>("index");
        for (std::size_t i = 0; i < std::size(kPosixCases); ++i)
            QTest::newRow(std::string(kPosixCases[i].name).c_str()) << static_cast<int>(i);
    }
    void answersAsTheHost()
    {
        QFETCH(int, index);
        const PosixCase& one = kPosixCases[index];
        std::string folder = "/" + std::to_string(index);
        QVERIFY(::mkdir((m_native + folder).c_str(), 0755) == 0);
        QVERIFY(::mkdir((m_world->guest + folder).c_str(), 0755) == 0);
        std::string native = outcomeOf(m_native + folder, one.script);
        std::string shared = outcomeOf(m_world->guest + folder, one.script);
        QVERIFY2(native.find('?') == native.npos, native.c_str());  // A call that is misspelled.
        if (auto known = kDifferences.find(one.name); known != kDifferences.end()) {
            QVERIFY2(shared != native, "the same by now: take it off the list");
            return;
        }
        QCOMPARE(QString::fromStdString(shared), QString::fromStdString(native));
    }

private:
    std::unique_ptr<FileWorld> m_world;
    std::string m_native;
};

int main(int argc, char** argv)
{
    if (auto code = playedPart(argc, argv)) return *code;
    TestFilePosix test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_file_posix.moc"
