// The names of nodes, of which one may have several, and what is left of those that are forgotten.
#include <filesystem>
#include <set>

#include <QTemporaryDir>
#include <QTest>

#include "wsl-bridge/files/node_table.h"

using namespace slipway;

namespace {

class NoKeeper final : public PinKeeper {
public:
    void keep(std::uint64_t, const Handle&) override {}
    void release(std::uint64_t) override {}
    void releaseAll() override {}
    std::vector<std::pair<std::uint64_t, HandlePtr>> takeOver() override { return {}; }
};

FileFacts file(std::uint64_t inode)
{
    FileFacts facts;
    facts.identity = {1, inode, 0};
    facts.mode = 0100644;
    return facts;
}

using Names = std::vector<std::string>;

Names namesOf(const Node& node)
{
    Names names;
    for (const auto* name = node.names(); name; name = name->next.get())
        names.push_back(name->name);
    return names;
}

}  // namespace

class TestNodeTable : public QObject {
    Q_OBJECT

    QTemporaryDir m_dir;
    std::unique_ptr<FileTree> m_tree = hostFileTree();
    std::unique_ptr<NodeStore> m_store;
    NoKeeper m_keeper;
    std::unique_ptr<NodeTable> m_table;

    Node& named(const std::string& name, std::uint64_t inode)
    {
        return m_table->adopt(m_table->root(), name, file(inode));
    }

private slots:
    void init()
    {
        auto path = m_dir.path().toStdString() + "/" + QTest::currentTestFunction();
        auto store = NodeStore::open(path);
        QVERIFY(store);
        m_store = std::move(*store);
        m_table = std::make_unique<NodeTable>(*m_tree, *m_store, m_keeper, 4);
    }

    void theLastNameComesFirst()
    {
        Node& node = named("a", 10);
        named("b", 10);
        QCOMPARE(&named("c", 10), &node);
        QCOMPARE(namesOf(node), (Names{"c", "b", "a"}));
        named("a", 10);
        QCOMPARE(node.names()->name, std::string("a"));
        QCOMPARE(namesOf(node).size(), std::size_t{3});
        for (const char* name : {"a", "b", "c"}) QCOMPARE(m_table->childOf(1, name), &node);
        QCOMPARE(m_table->root().childNames, 3u);
    }

    void namesGoInAnyOrder_data()
    {
        QTest::addColumn<Names>("order");
        Names order{"a", "b", "c"};
        do {
            QTest::newRow((order[0] + order[1] + order[2]).c_str()) << order;
        } while (std::next_permutation(order.begin(), order.end()));
    }
    void namesGoInAnyOrder()
    {
        QFETCH(Names, order);
        Node& node = named("a", 10);
        named("b", 10);
        named("c", 10);
        std::set<std::string> left(order.begin(), order.end());
        for (const auto& name : order) {
            QCOMPARE(m_table->dropName(1, name), &node);
            QVERIFY(!m_table->childOf(1, name));
            left.erase(name);
            auto names = namesOf(node);
            QCOMPARE(std::set<std::string>(names.begin(), names.end()), left);
        }
        QVERIFY(!node.names());
        QVERIFY(!m_table->dropName(1, "a"));
        QCOMPARE(m_table->root().childNames, 0u);
    }

    void aNameTakenByAnotherIsLost()
    {
        Node& first = named("a", 10);
        named("b", 10);
        Node& second = named("b", 11);
        QVERIFY(&first != &second);
        QCOMPARE(namesOf(first), Names{"a"});
        QCOMPARE(m_table->childOf(1, "b"), &second);
    }

    void childrenAreThoseOfTheFolder()
    {
        FileFacts folder = file(20);
        folder.mode = 0040755;
        Node& directory = m_table->adopt(m_table->root(), "dir", folder);
        named("before", 10);
        for (const char* name : {"y", "x", ""})
            if (*name) m_table->adopt(directory, name, file(static_cast<std::uint64_t>(*name)));
        Names seen;
        m_table->forEachChild(directory.id,
                              [&](const std::string& name, const Node&) { seen.push_back(name); });
        QCOMPARE(seen, (Names{"x", "y"}));
    }

    void whatIsForgottenLeavesNothing()
    {
        Node& node = named("a", 10);
        auto id = node.id;
        named("b", 10);
        m_table->countLookup(node);
        m_table->countLookup(node);
        m_table->setWatch(node, 5);
        m_table->forget(id, 1);
        QVERIFY(m_table->find(id));
        m_table->forget(id, 1);
        QVERIFY(!m_table->find(id));
        QVERIFY(!m_table->childOf(1, "a") && !m_table->childOf(1, "b") && !m_table->byWatch(5));
        QCOMPARE(m_table->takeDeadWatches(), std::vector<int>{5});
        QCOMPARE(m_table->size(), std::size_t{1});
        QVERIFY(named("a", 10).id != id);
    }

    void anInodeOfAnotherKindIsAnotherFile()
    {
        Node& node = named("a", 10);
        FileFacts folder = file(10);
        folder.mode = 0040755;
        Node& other = m_table->adopt(m_table->root(), "b", folder);
        QVERIFY(&node != &other);
        QCOMPARE(&m_table->adopt(m_table->root(), "c", folder), &other);
    }

    void nodesComeBackWithTheirLastName()
    {
        Node& node = named("a", 10);
        m_table->countLookup(node);
        named(std::string(200, 'n'), 10);
        auto id = node.id;
        NodeTable next(*m_tree, *m_store, m_keeper, 4);
        next.load();
        QVERIFY(next.find(id));
        QCOMPARE(namesOf(*next.find(id)), Names{std::string(200, 'n')});
        QCOMPARE(next.find(id)->lookups, std::uint64_t{1});
        QCOMPARE(&next.adopt(next.root(), "c", file(10)), next.find(id));
    }
};

QTEST_APPLESS_MAIN(TestNodeTable)
#include "tst_node_table.moc"
