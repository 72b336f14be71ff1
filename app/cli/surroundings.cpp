#include "app/cli/surroundings.h"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include "shared/process/process_facts.h"
#include "app/cli/terminal.h"
#include "shared/paths/docker_context.h"

namespace slipway {
namespace {

std::string environment(const char* name)
{
    const char* set = std::getenv(name);
    return set ? set : "";
}

}  // namespace

void addWarning(v1::State& state, std::string text, std::string remedy)
{
    auto* warning = state.add_warnings();
    warning->set_text(std::move(text));
    warning->set_remedy(std::move(remedy));
}

std::optional<v1::Process> desktopProcess(const Home& home)
{
    std::ifstream in(home.desktopLock());
    pid_t pid = 0;
    if (!(in >> pid) || programOf(pid) != "slipway-desktop") return std::nullopt;
    v1::Process process;
    process.set_name("slipway-desktop");
    process.set_pid(static_cast<std::uint32_t>(pid));
    process.set_pss_bytes(pssBytesOf(pid));
    return process;
}

Surroundings surroundingsOf(const Home& home, const User& user)
{
    return {environment("DOCKER_HOST"), currentContext(user), user.home, displayIsThere(),
            desktopProcess(home)};
}

void addSurroundings(v1::State& state, const Surroundings& around)
{
    auto& endpoint = *state.mutable_endpoint();
    endpoint.set_context_current(around.dockerHost.empty() && !endpoint.context().empty() &&
                                 endpoint.context() == around.currentContext);
    if (around.desktop) *state.add_processes() = *around.desktop;
    if (!around.dockerHost.empty() && around.dockerHost != endpoint.url())
        addWarning(
            state,
            fmt::format("DOCKER_HOST={} is set in this shell and overrides contexts",
                        around.dockerHost),
            endpoint.context().empty()
                ? "unset DOCKER_HOST"
                : fmt::format("unset DOCKER_HOST, or docker --context {} …", endpoint.context()));
}

}  // namespace slipway
