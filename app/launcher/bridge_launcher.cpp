#include "app/launcher/bridge_launcher.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include "app/launcher/machine_owner.h"
#include "shared/paths/program_dir.h"
#include "shared/process/child.h"

namespace slipway {
namespace {

using Clock = std::chrono::system_clock;

constexpr std::chrono::milliseconds kLookEvery{20};
// A bridge ends at once while another holds the lock: one that was just started elsewhere, and then
// that one answers, or one that was killed and is not quite gone, and then a further try is due.
constexpr std::chrono::seconds kGivesUpAfterEnd{1};
constexpr std::chrono::milliseconds kTriesAgainAfter{200};
constexpr std::size_t kLogLinesShown = 5;

std::string lastLogLines(const std::filesystem::path& file)
{
    std::ifstream in(file);
    std::deque<std::string> last;
    for (std::string line; std::getline(in, line);) {
        last.push_back(line);
        if (last.size() > kLogLinesShown) last.pop_front();
    }
    if (last.empty()) return fmt::format("its log {} is empty", file.string());
    std::string text = fmt::format("the end of {}:", file.string());
    for (const auto& line : last) text += "\n  " + line;
    return text;
}

// The child is reaped on a thread that outlives this call, as the bridge does; it uses nothing of
// ours but what it owns.
std::shared_ptr<std::atomic<int>> reapInBackground(Child child)
{
    auto exitCode = std::make_shared<std::atomic<int>>(-1);
    std::thread([child = std::move(child), exitCode]() mutable {
        *exitCode = child.wait();
    }).detach();
    return exitCode;
}

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;

struct Attempt {
    std::shared_ptr<std::atomic<int>> exitCode;  // Null: there is none. Below 0 while it runs.
    FilePtr said;  // What it wrote on its standard error; null where there is no room for that.

    bool runs() const { return exitCode && *exitCode < 0; }
};

// Its standard error is a file without a name and not a pipe: a bridge that stays may write there
// when nobody reads any more.
Result<Attempt> startBridge()
{
    FilePtr said(std::tmpfile());
    Command command;
    command.program = programDir() / "slipway-bridge";
    command.newSession = true;
    if (said) command.err = ::fileno(said.get());
    auto child = Child::start(command);
    if (!child) return tl::unexpected(context("start the bridge", child.error()));
    return Attempt{reapInBackground(*std::move(child)), std::move(said)};
}

std::string lastWords(const Attempt& attempt)
{
    if (!attempt.said) return {};
    std::rewind(attempt.said.get());
    std::string text;
    std::array<char, 4096> part;
    while (auto count = std::fread(part.data(), 1, part.size(), attempt.said.get()))
        text.append(part.data(), count);
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

tl::unexpected<Error> whyItEnded(const Home& home, const Attempt& attempt)
{
    constexpr std::string_view kItsName = "slipway-bridge: ";
    std::string said = lastWords(attempt);
    if (said.starts_with(kItsName)) said.erase(0, kItsName.size());
    if (said.empty())  // It was killed, perhaps.
        said = fmt::format("exit code {}; {}", attempt.exitCode->load(),
                           lastLogLines(home.logDir() / "bridge.log"));
    return fail(Code::Unavailable, fmt::format("the bridge has ended: {}", said));
}

}  // namespace

Result<> launchBridge(const Home& home, grpc::Channel& channel)
{
    if (!isRoot()) TRY_VOID(checkMachineOwner(home));
    TRY(auto attempt, startBridge());
    auto deadline = Clock::now() + kBridgeAnswersWithin;
    auto nextTry = Clock::now() + kTriesAgainAfter;
    std::optional<Attempt> failed;  // The first that ended.
    for (auto state = channel.GetState(true); state != GRPC_CHANNEL_READY;
         state = channel.GetState(true)) {
        if (!attempt.runs() && !failed) {
            failed = std::exchange(attempt, {});
            deadline = std::min(deadline, Clock::now() + kGivesUpAfterEnd);
        }
        if (Clock::now() >= deadline && failed) return whyItEnded(home, *failed);
        if (Clock::now() >= deadline)
            return fail(Code::DeadlineExceeded,
                        fmt::format("the bridge did not answer within {} s; {}",
                                    kBridgeAnswersWithin.count(),
                                    lastLogLines(home.logDir() / "bridge.log")));
        if (!attempt.runs() && Clock::now() >= nextTry) {
            TRY(attempt, startBridge());
            nextTry = Clock::now() + kTriesAgainAfter;
        }
        channel.WaitForStateChange(state, Clock::now() + kLookEvery);  // Also what lets it get on.
    }
    return {};
}

}  // namespace slipway
