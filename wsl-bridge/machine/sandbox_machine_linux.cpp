// Theory of operation. Every step that could block is a run of slipway-sandbox, so this is a chain
// of callbacks: clean, import (remove and unpack, only when the archive changed), start, then dial
// until the agent answers. Whatever fails on the way kills what was started, cleans, and ends
// Stopped.
//
// The machine's PID 1 is a child of this process if we started it, and nobody's of ours if we
// adopted it, so it is watched by pidfd; a child is reaped as well.
#include "wsl-bridge/machine/machine.h"

#include <csignal>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/core/small_file.h"
#include "shared/json/json.h"
#include "shared/process/child.h"
#include "shared/process/process_facts.h"
#include "wsl-bridge/machine/room.h"
#include "wsl-bridge/machine/rootfs_import.h"
#include "wsl-bridge/machine/sandbox/cgroups.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"
#include "wsl-bridge/machine/sandbox/probe.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kCleanTimeout = 60s;
constexpr auto kStartTimeout = 60s;
constexpr auto kImportTimeout = 20min;
constexpr auto kAgentAnswersWithin = 20s;
constexpr auto kAdoptedAnswersWithin = 5s;  // The agent may just be on its way back after a crash.
constexpr auto kRedialEvery = 20ms;
// For logs, records and what the engine writes at its start.
constexpr std::uint64_t kRoomBytes = 32u << 20;

Result<> writePrivate(const fs::path& file, const std::string& text)
{
    ::unlink(file.c_str());
    Descriptor made(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!made ||
        ::write(made.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return failErrno(fmt::format("write {}", file.string()), errno);
    }
    return giveToFolderOwner(file);
}

struct Record {
    Record() { facts.kind = "sandbox"; }

    MachineFacts facts;
    std::uint64_t startTime = 0;
    std::string cgroup;
};

// What slipway-sandbox wrote; see wsl-bridge/machine/sandbox/start.h.
Result<Record> parseRecord(const std::string& text, const fs::path& file)
{
    TRY(auto value, parseJson(text, file.string()));
    try {
        const auto& object = value.as_object();
        auto string = [&](const char* key) { return std::string(object.at(key).as_string()); };
        Record record;
        record.facts.pid = object.at("pid").to_number<pid_t>();
        record.startTime = object.at("start_time").to_number<std::uint64_t>();
        record.facts.rootless = object.at("rootless").as_bool();
        record.cgroup = string("cgroup");
        record.facts.cgroupVersion = object.at("cgroup_version").to_number<int>();
        record.facts.cgroupsWritable = object.at("cgroups_writable").as_bool();
        record.facts.subnet = string("subnet");
        record.facts.network = string("network");
        record.facts.files = string("files") == "fuse" ? FilesMode::Fuse : FilesMode::Direct;
        for (const auto& note : object.at("notes").as_array()) {
            record.facts.notes.push_back({std::string(note.at("text").as_string()),
                                          std::string(note.at("remedy").as_string())});
        }
        return record;
    } catch (const std::exception& e) {
        return fail(Code::DataLoss, fmt::format("{}: {}", file.string(), e.what()));
    }
}

class Sandbox final : public Machine {
public:
    Sandbox(Loop& loop, SandboxOptions options)
        : m_loop(loop), m_options(std::move(options)), m_timer(loop)
    {
    }

    State state() const override { return m_state; }
    Dialer& dialer() override
    {
        CHECK(m_dialer);
        return *m_dialer;
    }
    void onDeath(std::function<void()> died) override { m_died = std::move(died); }
    MachineFacts facts() const override
    {
        auto facts = m_record.facts;
        if (m_state == State::Running) facts.memoryBytes = cgroupMemoryBytes(m_record.cgroup);
        return facts;
    }

    void adopt(Done done) override
    {
        CHECK(m_state == State::Stopped || m_state == State::Unreachable);
        begin(State::Starting, {}, std::move(done));
        if (auto taken = takeRecorded(); !taken) {
            m_timer.after(0ms, [this, error = std::move(taken).error()] { notAdopted(error); });
            return;
        }
        awaitAgent(kAdoptedAnswersWithin, [this](Result<> answered) {
            if (!answered) return notAdopted(std::move(answered).error());
            end(State::Running, {});
        });
    }

    void start(const MachineSetup& setup, Step step, Done done) override
    {
        CHECK(m_state == State::Stopped);
        begin(State::Starting, std::move(step), std::move(done));
        m_setup = setup;
        say("clearing away");
        clean([this](Result<> cleaned) {
            if (cleaned) cleaned = checkRoom(m_options.home.root, kRoomBytes);
            if (!cleaned) return end(State::Stopped, std::move(cleaned));
            importRoot();
        });
    }

    void stop(std::chrono::milliseconds deadline, Done done) override
    {
        if (m_state == State::Starting) abandon();
        begin(State::Stopping, {}, std::move(done));
        if (!m_pidfd) return cleanAndEnd({});
        watch([this] { cleanAndEnd({}); });
        signal(SIGTERM);
        m_timer.after(deadline, [this] {
            log::warn("machine: it did not end in time and is killed");
            cleanAndEnd({});
        });
    }

    void remove(Done done) override
    {
        CHECK(m_state == State::Stopped);
        begin(State::Stopping, {}, std::move(done));
        clean([this](Result<> cleaned) {
            if (!cleaned) return end(State::Stopped, std::move(cleaned));
            runSandbox({"remove", m_options.home.machineDir().string()}, {}, kImportTimeout,
                       [this](Result<> removed) { end(State::Stopped, std::move(removed)); });
        });
    }

private:
    // --- The operation under way.

    void begin(State state, Step step, Done done)
    {
        CHECK(!m_done);
        m_state = state;
        m_step = std::move(step);
        m_done = std::move(done);
    }

    void end(State state, Result<> result)
    {
        m_state = state;
        m_timer.stop();
        m_dialing.reset();
        if (m_pidfd) watch([this] { diedByItself(); });
        auto done = std::exchange(m_done, nullptr);
        done(std::move(result));
    }

    // What is half done is cleared away as what a killed machine leaves is.
    void abandon()
    {
        m_tool.reset();
        m_watch.reset();
        m_timer.stop();
        m_dialing.reset();
        m_answered = nullptr;
        m_done = nullptr;
    }

    void say(const std::string& step)
    {
        if (m_step) m_step(step);
    }

    void runSandbox(std::vector<std::string> args, Command::Input input,
                    std::chrono::milliseconds timeout, Done done, OutLine onLine = {})
    {
        Command command;
        command.program = m_options.binDir / "slipway-sandbox";
        command.args = std::move(args);
        command.input = std::move(input);
        command.diesWithUs = true;  // The next bridge must find nobody at work on the same files.
        auto finished = [this, done = std::move(done)](Result<Output> output) {
            if (!output) return done(tl::unexpected<Error>(std::move(output).error()));
            if (output->exitCode == 0) return done({});
            auto message = output->err;
            while (message.ends_with('\n')) message.pop_back();
            if (message.empty()) message = fmt::format("exit code {}", output->exitCode);
            done(fail(Code::FailedPrecondition, std::move(message)));
        };
        m_tool = startRun(m_loop, command, timeout, std::move(finished), std::move(onLine));
    }

    std::vector<std::string> identified(const char* verb) const
    {
        return {verb, "--name", m_options.home.instanceName(), "--home",
                m_options.home.root.string()};
    }

    void clean(Done done)
    {
        runSandbox(identified("clean"), {}, kCleanTimeout, std::move(done),
                   [](const std::string& line) { log::debug("machine: {}", line); });
    }

    void cleanAndEnd(Result<> result)
    {
        m_watch.reset();
        m_timer.stop();
        m_dialing.reset();
        clean([this, result = std::move(result)](Result<> cleaned) {
            forgetProcess();
            std::error_code ignored;
            fs::remove(m_options.home.tokenFile(), ignored);
            end(State::Stopped, result ? std::move(cleaned) : result);
        });
    }

    // --- The root file system.

    bool isFolder() const { return fs::is_directory(m_setup.rootfs); }
    fs::path rootFolder() const
    {
        return isFolder() ? m_setup.rootfs : m_options.home.machineDir() / "root";
    }

    void importRoot()
    {
        auto stamp = stampOf(m_setup.rootfs);
        if (!stamp) return end(State::Stopped, tl::unexpected<Error>(std::move(stamp).error()));
        auto machineDir = m_options.home.machineDir();
        bool there = isFolder() || fs::exists(machineDir / "root");
        if (there && isImported(machineDir, *stamp)) return launch();
        // What was changed on top belongs to the old root. The engine's data lies elsewhere and
        // stays.
        forgetImported(machineDir);
        removeAll({machineDir / "root", machineDir / "upper", machineDir / "work"},
                  [this, stamp = *stamp](Result<> removed) {
                      if (!removed) return end(State::Stopped, std::move(removed));
                      unpack(stamp);
                  });
    }

    void removeAll(std::vector<fs::path> folders, Done done)
    {
        while (!folders.empty() && !fs::exists(folders.back())) folders.pop_back();
        if (folders.empty()) return done({});
        auto folder = folders.back().string();
        folders.pop_back();
        runSandbox({"remove", folder}, {}, kImportTimeout,
                   [this, folders = std::move(folders), done = std::move(done)](Result<> removed) {
                       if (!removed) return done(std::move(removed));
                       removeAll(folders, done);
                   });
    }

    void unpack(const std::string& stamp)
    {
        auto unpacked = [this, stamp](Result<> result) {
            if (result) result = noteImported(m_options.home.machineDir(), stamp);
            if (!result) return end(State::Stopped, std::move(result));
            launch();
        };
        std::error_code ignored;
        fs::create_directories(m_options.home.machineDir(), ignored);
        if (isFolder()) return unpacked({});
        say("unpacking the root file system");
        runSandbox({"unpack", m_setup.rootfs.string(), rootFolder().string()}, {}, kImportTimeout,
                   unpacked, [this](const std::string& percent) {
                       say(fmt::format("unpacking the root file system: {} %", percent));
                   });
    }

    // --- The start proper.

    void launch()
    {
        auto token = newToken();
        if (!token) return end(State::Stopped, tl::unexpected<Error>(std::move(token).error()));
        auto args = identified("start");
        for (const auto& word : {std::string("--root"), rootFolder().string(), std::string("--bin"),
                                 m_options.binDir.string(), std::string("--files"),
                                 std::string(name(m_setup.files))}) {
            args.push_back(word);
        }
        if (m_setup.egress)
            args.insert(args.end(), {"--egress", std::string(name(*m_setup.egress))});
        std::string bytes(reinterpret_cast<const char*>(token->data()), token->size());
        say("starting the machine");
        runSandbox(std::move(args), std::move(bytes), kStartTimeout, [this](Result<> started) {
            auto taken = takeRecorded();
            if (!started || !taken) {
                return giveUp(!started ? std::move(started).error() : std::move(taken).error());
            }
            say("waiting for the agent");
            awaitAgent(kAgentAnswersWithin, [this](Result<> answered) {
                if (!answered) return giveUp(std::move(answered).error());
                end(State::Running, {});
            });
        });
    }

    Result<Token> newToken()
    {
        auto token = randomToken();
        std::error_code failed;
        fs::create_directories(m_options.home.runDir(), failed);
        TRY_VOID(writePrivate(m_options.home.tokenFile(), toHex(token)));
        return token;
    }

    // A machine that failed to start may have got as far as a process of ours; cleaning kills it.
    void giveUp(Error error) { cleanAndEnd(tl::unexpected<Error>(std::move(error))); }

    // The machine that machine.json and the token name, if it is alive: process, facts and dialer.
    Result<> takeRecorded()
    {
        const auto& home = m_options.home;
        auto text = readFile(home.machineFile()).value_or("");
        if (text.empty()) return fail(Code::NotFound, "no machine is recorded");
        TRY(auto record, parseRecord(text, home.machineFile()));
        m_pid = record.facts.pid;
        // Opened first: from then on the number can't come to mean another process.
        m_pidfd = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, m_pid, 0)));
        if (!m_pidfd || startTimeOf(m_pid) != record.startTime) {
            forgetProcess();
            return fail(Code::NotFound, "the recorded machine has ended");
        }
        m_record = std::move(record);
        auto hex = readFile(home.tokenFile()).value_or("");
        auto token = hex.empty() ? fail(Code::DataLoss, "it is gone") : tokenFromHex(hex);
        if (!token)
            return tl::unexpected(context(home.tokenFile().string(), std::move(token).error()));
        m_dialer = unixDialer(m_loop, home.tunnelSocket(), *token);
        return {};
    }

    // Whoever works in a machine that runs must not lose it because we can't reach it.
    void notAdopted(Error error)
    {
        bool ended =
            error.code == Code::NotFound || (m_pidfd && startTimeOf(m_pid) != m_record.startTime);
        if (ended) {
            forgetProcess();
            error.code = Code::NotFound;
        }
        end(ended ? State::Stopped : State::Unreachable, tl::unexpected<Error>(std::move(error)));
    }

    void awaitAgent(std::chrono::milliseconds limit, Done done)
    {
        m_giveUpAt = std::chrono::steady_clock::now() + limit;
        m_answered = std::move(done);
        watch([this] { answered(fail(Code::Unavailable, endedEarly())); });
        dialOnce();
    }

    void dialOnce()
    {
        m_dialing = m_dialer->dialSocket(helloControl(), [this](Result<Descriptor> socket) {
            if (socket) return answered({});
            if (socket.error().code == Code::Unauthenticated)  // It will say the same again.
                return answered(tl::unexpected(socket.error()));
            if (std::chrono::steady_clock::now() > m_giveUpAt) {
                return answered(
                    fail(Code::DeadlineExceeded,
                         fmt::format("the agent in the machine does not answer ({}); see "
                                     "slipway logs agent",
                                     socket.error().message)));
            }
            m_timer.after(kRedialEvery, [this] { dialOnce(); });
        });
    }

    void answered(Result<> result)
    {
        auto done = std::exchange(m_answered, nullptr);
        done(std::move(result));
    }

    std::string endedEarly() const
    {
        auto log = readFile(m_options.home.logDir() / "agent.log").value_or("");
        while (log.ends_with('\n')) log.pop_back();
        return fmt::format("the machine ended during its start: {}",
                           log.substr(log.rfind('\n') + 1));
    }

    // --- Its PID 1.

    void watch(std::function<void()> ended)
    {
        m_watch.reset();  // libuv polls a descriptor once.
        m_watch = std::make_unique<ExitWatch>(m_loop, m_pidfd.get(), std::move(ended));
    }

    void signal(int number) const
    {
        if (m_pidfd) ::syscall(SYS_pidfd_send_signal, m_pidfd.get(), number, nullptr, 0);
    }

    void forgetProcess()
    {
        m_watch.reset();
        m_pidfd.reset();
        m_timer.stop();
        m_dialing.reset();
        if (m_pid > 0) {
            siginfo_t info{};
            ::waitid(P_PID, static_cast<id_t>(m_pid), &info,
                     WEXITED | WNOHANG);  // If it is our child.
        }
        m_pid = 0;
        m_record = {};
    }

    void diedByItself()
    {
        log::warn("machine: it ended by itself; see slipway logs agent");
        forgetProcess();
        m_state = State::Stopped;
        if (m_died) m_died();
    }

    Loop& m_loop;
    SandboxOptions m_options;
    State m_state = State::Stopped;
    MachineSetup m_setup;  // Of the last start.
    Step m_step;
    Done m_done;      // Of the operation under way; none: none.
    Done m_answered;  // While the agent is waited for.
    std::chrono::steady_clock::time_point m_giveUpAt;
    std::function<void()> m_died;
    Record m_record;
    std::unique_ptr<Dialer> m_dialer;
    pid_t m_pid = 0;
    Descriptor m_pidfd;
    std::unique_ptr<ExitWatch> m_watch;
    std::unique_ptr<Running> m_tool;
    DialingPtr m_dialing;
    Timer m_timer;
};

}  // namespace

Result<> fuseCanBeHad()
{
    auto fact = fuseFact(::geteuid() != 0);
    if (fact.holds) return {};
    return fail(Code::FailedPrecondition, fmt::format("{}; {}", fact.reason, fact.remedy));
}

std::unique_ptr<Machine> sandboxMachine(Loop& loop, SandboxOptions options)
{
    return std::make_unique<Sandbox>(loop, std::move(options));
}

}  // namespace slipway
