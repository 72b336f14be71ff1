// Operations on the machine that meet each other, and what becomes of whoever asked for them.
#include <QtTest>

#include "tests/support/run_until.h"
#include "wsl-bridge/lifecycle.h"

using namespace slipway;
using namespace slipway::test;
using namespace std::chrono_literals;

namespace {

// Carries out nothing by itself: the test says how an operation ends.
class FakeMachine final : public Machine {
public:
    void adopt(Done done) override { begin("adopt", State::Starting, std::move(done)); }
    void start(const MachineSetup&, Step, Done done) override
    {
        CHECK(m_state == State::Stopped);
        begin("start", State::Starting, std::move(done));
    }
    void stop(std::chrono::milliseconds, Done done) override
    {
        if (m_state == State::Starting) m_done = nullptr;
        begin("stop", State::Stopping, std::move(done));
    }
    void remove(Done done) override
    {
        CHECK(m_state == State::Stopped);
        begin("remove", State::Stopping, std::move(done));
    }
    State state() const override { return m_state; }
    MachineFacts facts() const override { return {}; }
    Dialer& dialer() override { std::abort(); }
    void onDeath(std::function<void()> died) override { m_died = std::move(died); }

    void end(State state, Result<> result = {})
    {
        m_state = state;
        auto done = std::exchange(m_done, nullptr);
        done(std::move(result));
    }
    void die()
    {
        m_state = State::Stopped;
        m_died();
    }

    std::vector<std::string> operations;  // In the order they were asked for.

private:
    void begin(const char* operation, State state, Done done)
    {
        CHECK(!m_done);
        operations.push_back(operation);
        m_state = state;
        m_done = std::move(done);
    }

    State m_state = State::Stopped;
    Done m_done;
    std::function<void()> m_died;
};

// The outcome of one call: its error's text, "ok", or "" while there is none.
struct Outcome {
    std::string said;
    Lifecycle::Done done()
    {
        return [this](Result<> result) {
            CHECK(said.empty());
            said = result ? "ok" : result.error().message;
        };
    }
};

}  // namespace

class TestMachineLifecycle : public QObject {
    Q_OBJECT

    using State = Machine::State;
    using Words = std::vector<std::string>;

    std::unique_ptr<Loop> m_loop;
    std::unique_ptr<FakeMachine> m_machine;
    std::unique_ptr<Lifecycle> m_lifecycle;
    bool m_prepares = true;
    int m_ups = 0;
    int m_forgotten = 0;

    void run()
    {
        m_lifecycle->start([](Result<>) {});
        m_machine->end(State::Running);
        m_lifecycle->engineIs(true, "");
    }
    bool settles(const Outcome& outcome)
    {
        return runUntil(*m_loop, [&] { return !outcome.said.empty(); });
    }
    static tl::unexpected<Error> because(Code code) { return fail(code, "because"); }

private slots:
    void init()
    {
        m_prepares = true;
        m_ups = m_forgotten = 0;
        m_loop = std::make_unique<Loop>();
        m_machine = std::make_unique<FakeMachine>();
        m_lifecycle = std::make_unique<Lifecycle>(
            *m_loop, Lifecycle::Parts{.machine = *m_machine,
                                      .prepare = [this]() -> Result<MachineSetup> {
                                          if (!m_prepares)
                                              return fail(Code::NotFound, "no root file system");
                                          return MachineSetup{};
                                      },
                                      .up = [this](bool) { ++m_ups; },
                                      .down = [] {},
                                      .forget = [this]() -> Result<> {
                                          ++m_forgotten;
                                          return {};
                                      },
                                      .changed = [] {},
                                      .enginePatience = 50ms});
    }
    void cleanup()
    {
        m_lifecycle.reset();
        m_machine.reset();
        m_loop.reset();
    }

    void aStartEndsWithTheEngine()
    {
        Outcome start;
        m_lifecycle->start(start.done());
        m_machine->end(State::Running);
        m_lifecycle->engineIs(false, "not yet");
        QCOMPARE(start.said, std::string());
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_STARTING);
        m_lifecycle->engineIs(true, "");
        QCOMPARE(start.said, std::string("ok"));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_RUNNING);
    }

    void aFurtherStartJoins()
    {
        Outcome first, second;
        m_lifecycle->start(first.done());
        m_lifecycle->start(second.done());
        m_machine->end(State::Running);
        m_lifecycle->engineIs(true, "");
        QCOMPARE(first.said + second.said, std::string("okok"));
        QCOMPARE(m_machine->operations, Words{"start"});
    }

    // However long the machine takes, the engine has its time; and no more.
    void onlyTheEnginesPartIsLimited()
    {
        Outcome start;
        m_lifecycle->start(start.done());
        QVERIFY(!runUntil(
            *m_loop, [&] { return !start.said.empty(); }, 200ms));
        m_machine->end(State::Running);
        m_lifecycle->engineIs(false, "dockerd: no such driver");
        QVERIFY(settles(start));
        QVERIFY2(start.said.find("no such driver") != std::string::npos, start.said.c_str());
    }

    // The agent goes on trying; nobody has to wait for it.
    void anEngineThatDoesNotStartIsToldAtOnce()
    {
        Outcome start;
        m_lifecycle->start(start.done());
        m_machine->end(State::Running);
        m_lifecycle->engineFails("dockerd: no such driver");
        QCOMPARE(start.said, std::string("the engine does not start: dockerd: no such driver"));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_TROUBLE);
        QCOMPARE(m_lifecycle->reason(), std::string("dockerd: no such driver"));
        Outcome again;
        m_lifecycle->start(again.done());
        m_lifecycle->engineIs(true, "");
        QCOMPARE(again.said, std::string("ok"));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_RUNNING);
    }

    void aStartDuringAnAdoptionThatFindsNothingStarts()
    {
        m_lifecycle->adopt();
        Outcome start;
        m_lifecycle->start(start.done());
        m_machine->end(State::Stopped, because(Code::NotFound));
        QCOMPARE(m_machine->operations, (Words{"adopt", "start"}));
        m_machine->end(State::Running);
        m_lifecycle->engineIs(true, "");
        QCOMPARE(start.said, std::string("ok"));
    }

    void anAdoptionThatFindsNothingIsNoTrouble()
    {
        m_lifecycle->adopt();
        m_machine->end(State::Stopped, because(Code::NotFound));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_STOPPED);
    }

    void aMachineThatCantBeTakenOverIsLeftAlone()
    {
        m_lifecycle->adopt();
        m_machine->end(State::Unreachable, because(Code::Unavailable));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_TROUBLE);
        QVERIFY(m_lifecycle->reason().find("slipway restart") != std::string::npos);
        Outcome start;
        m_lifecycle->start(start.done());
        m_machine->end(State::Unreachable, because(Code::Unavailable));
        QVERIFY2(start.said.find("slipway restart") != std::string::npos, start.said.c_str());
        QCOMPARE(m_machine->operations, (Words{"adopt", "adopt"}));

        Outcome restart;
        m_lifecycle->restart(restart.done());
        m_machine->end(State::Stopped);
        m_machine->end(State::Running);
        m_lifecycle->engineIs(true, "");
        QCOMPARE(restart.said, std::string("ok"));
        QCOMPARE(m_machine->operations, (Words{"adopt", "adopt", "stop", "start"}));
    }

    void aStopDuringAnAdoptionOrAStartCancelsIt()
    {
        Outcome start, stop;
        m_lifecycle->adopt();
        m_lifecycle->start(start.done());
        m_lifecycle->stop(stop.done());
        QCOMPARE(start.said, std::string("the engine was told to stop"));
        m_machine->end(State::Stopped);
        QCOMPARE(stop.said, std::string("ok"));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_STOPPED);
    }

    void aFurtherStopJoins()
    {
        run();
        Outcome first, second, quit;
        m_lifecycle->stop(first.done());
        m_lifecycle->stop(second.done());
        m_lifecycle->quit(false, quit.done());
        QCOMPARE(first.said + second.said + quit.said, std::string());
        m_machine->end(State::Stopped);
        QCOMPARE(first.said + second.said + quit.said, std::string("okokok"));
        QCOMPARE(m_machine->operations, (Words{"start", "stop"}));
    }

    void aStartDuringAStopIsRefused()
    {
        run();
        m_lifecycle->stop([](Result<>) {});
        Outcome start;
        m_lifecycle->start(start.done());
        QVERIFY(settles(start));
        QVERIFY2(start.said.find("try again") != std::string::npos, start.said.c_str());
    }

    void aResetIsOneOperation()
    {
        run();
        Outcome reset, start, stop;
        m_lifecycle->reset(reset.done());
        m_machine->end(State::Stopped);
        QCOMPARE(m_machine->operations.back(), std::string("remove"));
        m_lifecycle->start(start.done());
        m_lifecycle->stop(stop.done());
        QVERIFY(settles(start));
        QVERIFY2(start.said.find("deleting the machine") != std::string::npos, start.said.c_str());
        QCOMPARE(reset.said + stop.said, std::string());
        m_machine->end(State::Stopped);
        QCOMPARE(reset.said + stop.said, std::string("okok"));
        QCOMPARE(m_forgotten, 1);
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_STOPPED);
    }

    // What waits for the same stop and wants different things gets its way, one after the other.
    void aRestartAndAResetMeet()
    {
        run();
        Outcome restart, reset;
        m_lifecycle->restart(restart.done());
        m_lifecycle->reset(reset.done());
        m_machine->end(State::Stopped);
        QCOMPARE(restart.said, std::string("the engine was told to stop"));
        m_machine->end(State::Stopped);
        m_machine->end(State::Stopped);
        QCOMPARE(reset.said, std::string("ok"));
        QCOMPARE(m_machine->operations, (Words{"start", "stop", "start", "stop", "remove"}));
    }

    void nothingIsStartedOnceItQuits()
    {
        run();
        Outcome restart, quit;
        m_lifecycle->restart(restart.done());
        m_lifecycle->quit(true, quit.done());
        m_machine->end(State::Stopped);
        QCOMPARE(quit.said, std::string("ok"));
        QVERIFY(settles(restart));
        QVERIFY2(restart.said.find("ending") != std::string::npos, restart.said.c_str());
        QCOMPARE(m_machine->operations, (Words{"start", "stop"}));
    }

    void aStartThatCantBePreparedSaysWhy()
    {
        m_prepares = false;
        Outcome start;
        m_lifecycle->start(start.done());
        QVERIFY(settles(start));
        QCOMPARE(start.said, std::string("no root file system"));
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_TROUBLE);
        m_prepares = true;
        run();
        QCOMPARE(m_lifecycle->condition(), v1::CONDITION_RUNNING);
    }

    void whoeverWaitsForTheEngineWaitsForTheNextMachineToo()
    {
        Outcome start;
        m_lifecycle->start(start.done());
        m_machine->end(State::Running);
        m_machine->die();
        QVERIFY(runUntil(*m_loop, [&] { return m_machine->state() == State::Starting; }));
        m_machine->end(State::Running);
        m_lifecycle->engineIs(true, "");
        QCOMPARE(start.said, std::string("ok"));
    }

    void aMachineThatDiesIsStartedThreeTimes()
    {
        run();
        for (std::size_t deaths = 1; deaths <= 3; ++deaths) {
            m_machine->die();
            QCOMPARE(m_lifecycle->condition(), v1::CONDITION_TROUBLE);
            QVERIFY(runUntil(*m_loop, [&] { return m_machine->state() == State::Starting; }));
            m_machine->end(State::Running);
            m_lifecycle->engineIs(true, "");
        }
        m_machine->die();
        QVERIFY(m_lifecycle->reason().find("not started again") != std::string::npos);
        QVERIFY(!runUntil(
            *m_loop, [&] { return m_machine->state() != State::Stopped; }, 700ms));
        QCOMPARE(m_ups, 4);
    }
};

QTEST_GUILESS_MAIN(TestMachineLifecycle)
#include "tst_machine_lifecycle.moc"
