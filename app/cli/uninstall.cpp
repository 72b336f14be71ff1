// `slipway uninstall`: takes away everything that Slipway has put outside its own programs.
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"
#include "app/launcher/machine_record.h"
#include "shared/process/process_facts.h"
#include "app/cli/surroundings.h"
#include "app/cli/terminal.h"
#include "shared/paths/docker_context.h"
#include "shared/paths/program_dir.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kDesktopEndsWithin{5};
constexpr std::chrono::milliseconds kLookEvery{20};

// Where the desktop's own start at login is kept (XDG autostart specification).
fs::path autostartFile(const Home& home, const User& user)
{
    const char* set = std::getenv("XDG_CONFIG_HOME");
    fs::path config = set && *set ? fs::path(set) : user.home / ".config";
    return config / "autostart" / (home.instanceName() + ".desktop");
}

// The machine may hold files of sub-uids that only the bridge can delete, so it goes first.
Result<> removeMachine(const Home& home)
{
    BridgeSession bridge(home);
    TRY(auto state, bridge.state());
    bool needed =
        state || fs::exists(home.machineDir()) || machineRecord(home) != MachineRecord::None;
    if (!needed) return {};
    TRY_VOID(bridge.launchIfAbsent());
    TRY_VOID(bridge.reset());
    return bridge.stop();
}

Result<> endDesktop(const Home& home)
{
    auto desktop = desktopProcess(home);
    if (!desktop) return {};
    auto pid = static_cast<pid_t>(desktop->pid());
    askToEnd(pid);
    auto deadline = std::chrono::steady_clock::now() + kDesktopEndsWithin;
    while (isRunning(pid)) {
        if (std::chrono::steady_clock::now() > deadline)
            return fail(
                Code::DeadlineExceeded,
                fmt::format("slipway-desktop (pid {}) does not end: end it by hand, then once "
                            "more: slipway uninstall",
                            pid));
        std::this_thread::sleep_for(kLookEvery);
    }
    return {};
}

// Only what is Slipway's: SLIPWAY_HOME may be a folder that holds a person's own files too.
Result<> removeHome(const Home& home)
{
    std::vector<fs::path> all{home.endpointSocket(), home.linuxSocket(),  home.windowsSocket(),
                              home.runDir(),         home.logDir(),       home.machineDir(),
                              home.endpointDir(),    home.filesDir(),     home.dockerCliDir(),
                              home.tlsDir(),         home.settingsFile(), home.daemonJson()};
    std::error_code unreadable;
    for (const fs::path& file : {home.settingsFile(), home.daemonJson()})
        for (const auto& entry : fs::directory_iterator(home.root, unreadable))
            if (entry.path().string().starts_with(file.string() + ".bad")) all.push_back(entry);
    for (const auto& mine : all) {
        std::error_code failed;
        fs::remove_all(mine, failed);
        if (failed) return failErrno(fmt::format("remove {}", mine.string()), failed.value());
    }
    std::error_code notEmpty;
    fs::remove(home.root, notEmpty);
    if (notEmpty)
        fmt::print("left: {}, as it holds files that are not Slipway's\n", home.root.string());
    return {};
}

}  // namespace

Result<int> uninstallCommand(const Home& home, bool yes)
{
    TRY(auto user, invokingUser());
    auto autostart = autostartFile(home, user);
    fmt::print(
        "This stops Slipway and removes:\n"
        "   {0}: its settings, logs, and the machine with all images, containers and volumes\n"
        "   the docker contexts \"{1}\", \"{1}-linux\" and \"{1}-windows\"\n",
        home.root.string(), home.instanceName());
    if (fs::exists(autostart)) fmt::print("   {}: the start at login\n", autostart.string());
    if (!yes) {
        TRY(bool sure, confirm("Remove them?", "slipway uninstall"));
        if (!sure) {
            fmt::print("nothing was changed\n");
            return 1;
        }
    }
    const std::string current = currentContext(user);
    const auto [inUse, ofLinux, ofWindows] = home.endpoints();
    bool wasCurrent = false;
    TRY_VOID(removeMachine(home));
    TRY_VOID(endDesktop(home));
    for (const Home::NamedEndpoint& endpoint : {inUse, ofLinux, ofWindows}) {
        TRY_VOID(removeContext(user, endpoint.context, endpoint.url()));
        wasCurrent |= current == endpoint.context;
    }
    std::error_code failed;
    fs::remove(autostart, failed);
    if (failed) return failErrno(fmt::format("remove {}", autostart.string()), failed.value());
    TRY_VOID(removeHome(home));
    fmt::print("removed; left: the programs in {}, and the packages that quickstart installed\n",
               programDir().string());
    if (wasCurrent)
        fmt::print("\"{}\" was your current docker context: docker context use default\n", current);
    return 0;
}

}  // namespace slipway
