#include "app/launcher/bridge_launcher.h"

#include <atomic>
#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <fmt/format.h>

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

using ExitCode = std::shared_ptr<std::atomic<int>>;

Result<ExitCode> startBridge()
{
    Command command;
    command.program = programDir() / "slipway-bridge";
    command.newSession = true;
    auto child = Child::start(command);
    if (!child) return tl::unexpected(context("start the bridge", child.error()));
    return reapInBackground(*std::move(child));
}

tl::unexpected<Error> noAnswer(const Home& home, std::optional<int> exitCode)
{
    auto log = lastLogLines(home.logDir() / "bridge.log");
    if (exitCode)
        return fail(Code::Unavailable,
                    fmt::format("the bridge ended with exit code {}; {}", *exitCode, log));
    return fail(Code::DeadlineExceeded, fmt::format("the bridge did not answer within {} s; {}",
                                                    kBridgeAnswersWithin.count(), log));
}

}  // namespace

Result<> launchBridge(const Home& home, grpc::Channel& channel)
{
    TRY(auto exitCode, startBridge());
    auto deadline = Clock::now() + kBridgeAnswersWithin;
    auto nextTry = Clock::now() + kTriesAgainAfter;
    std::optional<int> ended;  // The exit code of the first that ended.
    for (auto state = channel.GetState(true); state != GRPC_CHANNEL_READY;
         state = channel.GetState(true)) {
        if (!ended && *exitCode >= 0) {
            ended = *exitCode;
            deadline = std::min(deadline, Clock::now() + kGivesUpAfterEnd);
        }
        if (Clock::now() >= deadline) return noAnswer(home, ended);
        if (*exitCode >= 0 && Clock::now() >= nextTry) {
            TRY(exitCode, startBridge());
            nextTry = Clock::now() + kTriesAgainAfter;
        }
        channel.WaitForStateChange(state, Clock::now() + kLookEvery);  // Also what lets it get on.
    }
    return {};
}

}  // namespace slipway
