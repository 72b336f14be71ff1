#include <QTest>

#include "linux-vm-agent/ports/claim_table.h"

using namespace slipway;
using namespace std::chrono_literals;

namespace {

constexpr Lease kFirst = 100;
const ClaimedPort kWeb{"tcp", "0.0.0.0", 8080, "172.17.0.2", 80};
const ClaimedPort kMovedWeb{"tcp", "0.0.0.0", 8080, "172.17.0.9", 80};

// Writes down what the table says: "answer 1: ", "claim 100", "restate 100", "withdraw 100", "all".
class Notes final : public ClaimTable::Output {
public:
    QStringList said;
    int standingChanges = 0;
    std::size_t room = 1000;

    void answer(ClaimTable::ProxyId proxy, const std::string& refusal) override
    {
        said += QString("answer %1: %2").arg(proxy).arg(refusal.c_str());
    }
    void tell(const v1::PortRequest& request) override
    {
        if (request.has_all_restated())
            said += "all";
        else
            said += QString("%1 %2")
                        .arg(request.has_withdrawal() ? "withdraw"
                             : request.restated()     ? "restate"
                                                      : "claim")
                        .arg(request.lease());
    }
    void stands(const ClaimTable::Standing&) override { ++standingChanges; }
    void fell(Lease) override { ++standingChanges; }
    std::string whyNoRoom(std::size_t claims) override { return claims < room ? "" : "too many"; }

    QStringList take() { return std::exchange(said, {}); }
};

}  // namespace

class TestClaimTable : public QObject {
    Q_OBJECT

private slots:
    void init()
    {
        m_notes = {};
        m_table = std::make_unique<ClaimTable>(m_notes, kFirst);
        m_table->engineUp(true, m_now);
        m_table->bridgeCame();
        QCOMPARE(m_notes.take(), QStringList{"all"});
    }

    void bindsBeforeItAnswers()
    {
        m_table->claim(1, kWeb, m_now);
        QCOMPARE(m_notes.take(), QStringList{"claim 100"});
        m_table->decided(100, "");
        QCOMPARE(m_notes.take(), QStringList{"answer 1: "});
        QCOMPARE(m_table->standing().size(), std::size_t{1});
        QVERIFY(!m_table->nextDeadline());
    }

    void passesARefusalOn()
    {
        m_table->claim(1, kWeb, m_now);
        m_table->decided(100, "held by postgres");
        QCOMPARE(m_notes.take(), (QStringList{"claim 100", "answer 1: held by postgres"}));
        m_table->ended(1, ClaimTable::End::Vanished, m_now);
        QVERIFY(m_notes.said.isEmpty());
    }

    void neverUsesALeaseAgain()
    {
        m_table->claim(1, kWeb, m_now);
        m_table->decided(100, "no");
        m_table->claim(2, kWeb, m_now);
        QCOMPARE(m_notes.said.last(), "claim 101");
    }

    // What dockerd's end of a proxy means, by the state of the engine.
    void endsAsTheProxyEnded_data()
    {
        QTest::addColumn<int>("end");
        QTest::addColumn<bool>("engineUp");
        QTest::addColumn<bool>("stands");
        auto row = [](const char* name, ClaimTable::End end, bool up, bool stands) {
            QTest::newRow(name) << static_cast<int>(end) << up << stands;
        };
        row("SIGINT", ClaimTable::End::Withdrawn, true, false);
        row("SIGINT, engine down", ClaimTable::End::Withdrawn, false, false);
        row("SIGTERM", ClaimTable::End::Left, true, true);
        row("SIGTERM, engine down", ClaimTable::End::Left, false, true);
        row("SIGKILL", ClaimTable::End::Vanished, true, false);
        row("SIGKILL, engine down", ClaimTable::End::Vanished, false, true);
    }
    void endsAsTheProxyEnded()
    {
        QFETCH(int, end);
        QFETCH(bool, engineUp);
        QFETCH(bool, stands);
        hold();
        m_table->engineUp(engineUp, m_now);
        m_table->ended(1, static_cast<ClaimTable::End>(end), m_now);
        QCOMPARE(m_notes.take(), stands ? QStringList{} : QStringList{"withdraw 100"});
        QCOMPARE(m_table->standing().size(), stands ? std::size_t{1} : std::size_t{0});
    }

    void letsTheNewEngineTakeAnOrphanOver()
    {
        hold();
        m_table->engineUp(false, m_now);
        m_table->ended(1, ClaimTable::End::Left, m_now);
        m_table->claim(2, kWeb, m_now);
        QCOMPARE(m_notes.take(), QStringList{"answer 2: "});
        m_table->engineUp(true, m_now);
        m_table->elapse(m_now + 1h);
        QVERIFY(m_notes.said.isEmpty());
        m_table->ended(2, ClaimTable::End::Withdrawn, m_now);
        QCOMPARE(m_notes.take(), QStringList{"withdraw 100"});
    }

    void answersAReclaimWithTheBridgeAway()
    {
        hold();
        m_table->ended(1, ClaimTable::End::Left, m_now);
        m_table->bridgeGone();
        m_table->claim(2, kWeb, m_now);
        QCOMPARE(m_notes.take(), QStringList{"answer 2: "});
    }

    void endsAnOrphanAfterTheEngineIsBack()
    {
        hold();
        m_table->engineUp(false, m_now);
        m_table->ended(1, ClaimTable::End::Left, m_now);
        m_table->elapse(m_now + 1h);
        QVERIFY(m_notes.said.isEmpty());
        m_table->engineUp(true, m_now + 1h);
        QCOMPARE(*m_table->nextDeadline(), m_now + 1h + ClaimTable::kOrphanTime);
        m_table->elapse(m_now + 1h + ClaimTable::kOrphanTime - 1ms);
        QVERIFY(m_notes.said.isEmpty());
        m_table->elapse(m_now + 1h + ClaimTable::kOrphanTime);
        QCOMPARE(m_notes.take(), QStringList{"withdraw 100"});
    }

    void givesAnOrphansPortToAnotherAddress()
    {
        hold();
        m_table->ended(1, ClaimTable::End::Left, m_now);
        m_table->claim(2, kMovedWeb, m_now);
        QCOMPARE(m_notes.take(), (QStringList{"withdraw 100", "claim 101"}));
    }

    void waitsForTheBridgeAndThenGivesUp()
    {
        m_table->bridgeGone();
        m_table->claim(1, kWeb, m_now);
        m_table->elapse(m_now + ClaimTable::kDecisionTime - 1ms);
        QVERIFY(m_notes.said.isEmpty());
        m_table->elapse(m_now + ClaimTable::kDecisionTime);
        QCOMPARE(m_notes.said.size(), 1);
        QVERIFY(m_notes.said[0].startsWith("answer 1: slipway-bridge is not there"));
        QVERIFY(!m_table->nextDeadline());
    }

    void asksABridgeThatComesInTime()
    {
        m_table->bridgeGone();
        m_table->claim(1, kWeb, m_now);
        m_table->bridgeCame();
        QCOMPARE(m_notes.take(), (QStringList{"claim 100", "all"}));
        m_table->decided(100, "");
        QCOMPARE(m_notes.take(), QStringList{"answer 1: "});
    }

    void withdrawsFromABridgeThatKeepsSilent()
    {
        m_table->claim(1, kWeb, m_now);
        m_notes.take();
        m_table->elapse(m_now + ClaimTable::kDecisionTime);
        QCOMPARE(m_notes.said.size(), 2);
        QCOMPARE(m_notes.said[1], "withdraw 100");
    }

    void withdrawsAClaimWhoseProxyGaveUpWaiting()
    {
        m_table->claim(1, kWeb, m_now);
        m_table->ended(1, ClaimTable::End::Left, m_now);
        QCOMPARE(m_notes.take(), (QStringList{"claim 100", "withdraw 100"}));
        m_table->decided(100, "");
        QVERIFY(m_notes.said.isEmpty());
    }

    void tellsANewBridgeWhatStands()
    {
        hold();
        m_table->bridgeGone();
        m_table->bridgeCame();
        QCOMPARE(m_notes.take(), (QStringList{"restate 100", "all"}));
        m_table->decided(100, "held by postgres");  // The container runs: shown, not ended.
        QVERIFY(m_notes.said.isEmpty());
        QCOMPARE(m_table->standing().size(), std::size_t{1});
    }

    void knowsItsLeasesAfterAStart()
    {
        hold();
        Notes notes;
        ClaimTable anew(notes, 7);
        anew.restore(m_table->standing());
        anew.bridgeCame();
        anew.restate(9, kWeb);
        QCOMPARE(notes.take(), (QStringList{"restate 100", "all"}));
        anew.engineUp(true, m_now);
        anew.elapse(m_now + 1h);
        QVERIFY(notes.said.isEmpty());
        anew.claim(10, kMovedWeb, m_now);
        QCOMPARE(notes.take(), QStringList{"claim 101"});
    }

    void takesARestatedClaimItNeverKnew()
    {
        m_table->restate(1, kWeb);
        QCOMPARE(m_notes.take(), QStringList{"restate 100"});
        QCOMPARE(m_notes.standingChanges, 1);
        m_table->ended(1, ClaimTable::End::Withdrawn, m_now);
        QCOMPARE(m_notes.take(), QStringList{"withdraw 100"});
    }

    void refusesMoreClaimsThanThereIsRoomFor()
    {
        m_notes.room = 1;
        hold();
        m_table->claim(2, kMovedWeb, m_now);
        QCOMPARE(m_notes.take(), QStringList{"answer 2: too many"});
        m_table->claim(3, kWeb, m_now);  // It is there already.
        QCOMPARE(m_notes.take(), QStringList{"answer 3: "});
        m_table->restate(4, kMovedWeb);  // Its container runs.
        QCOMPARE(m_notes.take(), QStringList{"restate 101"});
    }

private:
    void hold()
    {
        m_table->claim(1, kWeb, m_now);
        m_table->decided(100, "");
        m_notes.take();
    }

    Notes m_notes;
    std::unique_ptr<ClaimTable> m_table;
    ClaimTable::Time m_now = ClaimTable::Time() + 1000h;
};

QTEST_GUILESS_MAIN(TestClaimTable)
#include "tst_claim_table.moc"
