#include <algorithm>
#include <fstream>

#include <QTemporaryDir>
#include <QTest>

#include "wsl-bridge/files/grants.h"
#include "wsl-bridge/files/intents.h"
#include "wsl-bridge/files/node_store.h"

using namespace slipway;

namespace {

NodeRecord record(NodeStore& store, std::string name)
{
    NodeRecord node;
    node.id = store.newId();
    node.parent = 1;
    node.lookups = 1;
    node.identity = {8, 100 + node.id, 12345};
    node.mode = 0100644;
    node.name = std::move(name);
    return node;
}

}  // namespace

// What a bridge that was killed finds again. A kill leaves the mapping as it is, so opening the
// file a second time is what the next bridge sees.
class TestNodeStore : public QObject {
    Q_OBJECT

private slots:
    void nodesComeBack_data();
    void nodesComeBack();
    void aMoveThatWasCutOffCountsOnce();
    void erasedNodesStayAway();
    void idsAreNeverUsedTwice();
    void growsBeyondItsFirstSize();
    void anotherFormatBeginsAnew();
    void intentsComeBack();
    void grantsComeBack();

private:
    std::filesystem::path file() const
    {
        return m_dir.path().toStdString() + "/" + QTest::currentTestFunction();
    }
    QTemporaryDir m_dir;
};

void TestNodeStore::nodesComeBack_data()
{
    QTest::addColumn<std::string>("name");
    QTest::newRow("short") << std::string("a");
    for (int length : {31, 32, 33, 47, 48, 49, 120, 167, 168, 169, 255}) {
        QTest::addRow("%d bytes", length) << std::string(static_cast<std::size_t>(length), 'n');
    }
}

void TestNodeStore::nodesComeBack()
{
    QFETCH(std::string, name);
    std::filesystem::remove(file());
    auto store = NodeStore::open(file());
    QVERIFY(store);
    auto node = record(**store, name);
    auto slot = (*store)->put(node);
    QVERIFY(slot != 0);
    (*store)->setLookups(slot, 7);
    (*store)->setSession({45, 0x1234567890});

    auto next = NodeStore::open(file());
    QVERIFY(next);
    QCOMPARE((*next)->session().minor, std::uint32_t{45});
    QCOMPARE((*next)->session().flags, std::uint64_t{0x1234567890});
    auto nodes = (*next)->load();
    QCOMPARE(nodes.size(), std::size_t{1});
    QCOMPARE(nodes[0].id, node.id);
    QCOMPARE(nodes[0].parent, std::uint64_t{1});
    QCOMPARE(nodes[0].lookups, std::uint64_t{7});
    QVERIFY(nodes[0].identity == node.identity);
    QCOMPARE(nodes[0].mode, node.mode);
    QCOMPARE(nodes[0].name, name);
}

void TestNodeStore::aMoveThatWasCutOffCountsOnce()
{
    auto store = NodeStore::open(file());
    QVERIFY(store);
    auto node = record(**store, "old name");
    (*store)->put(node);
    // The new record is written and the old one not yet erased: a slot of 0 says there was none.
    node.name = "new name";
    (*store)->put(node);
    auto nodes = (*NodeStore::open(file()))->load();
    QCOMPARE(nodes.size(), std::size_t{1});
    QCOMPARE(nodes[0].name, "new name");
}

void TestNodeStore::erasedNodesStayAway()
{
    auto store = NodeStore::open(file());
    QVERIFY(store);
    auto kept = record(**store, std::string(200, 'k'));
    auto gone = record(**store, std::string(200, 'g'));
    (*store)->put(kept);
    (*store)->erase((*store)->put(gone));
    auto nodes = (*NodeStore::open(file()))->load();
    QCOMPARE(nodes.size(), std::size_t{1});
    QCOMPARE(nodes[0].name, kept.name);
}

void TestNodeStore::idsAreNeverUsedTwice()
{
    auto first = (*NodeStore::open(file()))->newId();
    auto second = (*NodeStore::open(file()))->newId();
    QVERIFY(first > 1);  // The root's.
    QVERIFY(second > first);
}

void TestNodeStore::growsBeyondItsFirstSize()
{
    auto store = NodeStore::open(file());
    QVERIFY(store);
    for (int i = 0; i < 10000; ++i)
        QVERIFY((*store)->put(record(**store, "node" + std::to_string(i))) != 0);
    auto next = NodeStore::open(file());
    QCOMPARE((*next)->load().size(), std::size_t{10000});
    QVERIFY(std::filesystem::file_size(file()) <= 10000 * 300);
}

void TestNodeStore::anotherFormatBeginsAnew()
{
    std::ofstream(file()) << std::string(1000, 'x');
    auto store = NodeStore::open(file());
    QVERIFY(store);
    QCOMPARE((*store)->load().size(), std::size_t{0});
    QVERIFY((*store)->put(record(**store, "a")) != 0);
    QCOMPARE((*NodeStore::open(file()))->load().size(), std::size_t{1});
}

void TestNodeStore::intentsComeBack()
{
    auto intents = Intents::open(file());
    QVERIFY(intents);
    (*intents)->begin(10, {});
    (*intents)->begin(12, {1, 2, 3});
    (*intents)->finish(10, 17);
    auto next = Intents::open(file());
    QVERIFY(next);
    QVERIFY(!(*next)->find(14));
    QVERIFY((*next)->find(10)->finished);
    QCOMPARE((*next)->find(10)->error, 17);
    QVERIFY(!(*next)->find(12)->finished);
    QVERIFY(((*next)->find(12)->before == Identity{1, 2, 3}));
    for (std::uint64_t unique = 100; unique < 10000; ++unique) (*next)->begin(unique, {});
    QVERIFY(!(*next)->find(10));  // Long answered.
    QVERIFY((*next)->find(9999));
}

void TestNodeStore::grantsComeBack()
{
    auto grants = Grants::load(file());
    QVERIFY(grants);
    QVERIFY(grants->add("/home/ann/src/deep"));
    QVERIFY(grants->add("/home/ann/src"));
    QVERIFY(grants->add("/home/ann/line\nbreak"));
    auto next = Grants::load(file());
    QVERIFY(next);
    using Cover = Grants::Cover;
    QVERIFY(next->coverOf("/home/ann/src") == Cover::Granted);
    QVERIFY(next->coverOf("/home/ann/src/deep") == Cover::Inside);
    QVERIFY(next->coverOf("/home/ann/src2") == Cover::None);
    QVERIFY(next->coverOf("/home/ann") == Cover::Ancestor);
    QVERIFY(next->coverOf("") == Cover::Ancestor);
    QVERIFY(next->coverOf("/home/bob") == Cover::None);
    QCOMPARE(next->childrenOf("/home/ann"), (std::vector<std::string>{"line\nbreak", "src"}));
    QCOMPARE(next->childrenOf(""), (std::vector<std::string>{"home"}));
}

QTEST_APPLESS_MAIN(TestNodeStore)
#include "tst_node_store.moc"
