#include "app/cli/status_text.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/cli/text.h"

namespace slipway {
namespace {

constexpr std::size_t kLabelWidth = 10;
constexpr std::size_t kRightColumn = 55;
constexpr int kFoldersShown = 4;

std::string row(std::string_view label, std::string_view left, std::string_view right = {})
{
    std::string line = fmt::format("{:<{}}{}", label, kLabelWidth, left);
    if (right.empty()) return line + "\n";
    return fmt::format("{:<{}}{}\n", line, std::max(kRightColumn, line.size() + 2), right);
}

// The parts that say something.
std::string listed(std::vector<std::string> parts)
{
    std::erase(parts, std::string());
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string ifAny(std::string_view format, const std::string& value)
{
    return value.empty() ? std::string() : fmt::format(fmt::runtime(format), value);
}

std::string withTilde(const std::string& path, const std::filesystem::path& home)
{
    const std::string& prefix = home.native();
    if (prefix.size() < 2 || !path.starts_with(prefix)) return path;
    if (path.size() > prefix.size() && path[prefix.size()] != '/') return path;
    return "~" + path.substr(prefix.size());
}

std::string ago(std::int64_t unixMs, std::int64_t nowUnixMs)
{
    return unixMs ? durationText(nowUnixMs - unixMs) : std::string();
}

std::string headText(const v1::State& state, const Reader& reader)
{
    std::string left{nameOf(state.condition())};
    if (!state.reason().empty()) left += ": " + state.reason();
    bool up =
        state.condition() == v1::CONDITION_RUNNING || state.condition() == v1::CONDITION_DEGRADED;
    std::string since = ago(state.since_unix_ms(), reader.nowUnixMs);
    return row(fmt::format("Slipway {}   ", state.version()), left,
               since.empty() ? since : fmt::format("{} {}", up ? "up" : "for", since));
}

std::string engineText(const v1::Engine& engine, const Reader& reader)
{
    if (engine.version().empty()) return {};
    std::string ping;
    if (engine.pinged_unix_ms())
        ping = fmt::format("/_ping {:.1f} ms, {} ago", engine.ping_us() / 1000.0,
                           ago(engine.pinged_unix_ms(), reader.nowUnixMs));
    return row("Engine",
               listed({"Docker " + engine.version(), ifAny("API {}", engine.api_version()),
                       engine.storage_driver(),
                       countText(engine.containers_running(), "container") + " running"}),
               ping);
}

std::string endpointText(const v1::Endpoint& endpoint)
{
    if (endpoint.url().empty()) return {};
    std::string context;
    if (!endpoint.context().empty())
        context = fmt::format("context {} ({})", endpoint.context(),
                              endpoint.context_current() ? "current" : "not current");
    return row("Endpoint", endpoint.url(), context);
}

std::string machineText(const v1::Machine& machine)
{
    if (!machine.pid()) return {};
    return row(
        "Machine",
        listed({machine.kind(), machine.user(),
                machine.cgroup_version() ? fmt::format("cgroup v{}", machine.cgroup_version()) : "",
                machine.subnet()}),
        listed({machine.memory_bytes() ? sizeText(machine.memory_bytes()) + " memory" : "",
                machine.disk_bytes() ? sizeText(machine.disk_bytes()) + " disk" : ""}));
}

std::string foldersText(const v1::Files& files, const Reader& reader)
{
    std::vector<std::string> shown;
    for (const auto& folder : files.folders()) {
        if (static_cast<int>(shown.size()) == kFoldersShown) break;
        auto count = static_cast<std::size_t>(folder.containers_size());
        shown.push_back(
            fmt::format("{} ({})", withTilde(folder.host_path(), reader.userHome),
                        shown.empty() ? countText(count, "container") : std::to_string(count)));
    }
    if (files.folders_size() > kFoldersShown) shown.emplace_back("all of them: slipway shares");
    return fmt::format("{} in use: {}",
                       countText(static_cast<std::size_t>(files.folders_size()), "folder"),
                       fmt::join(shown, ", "));
}

std::string filesText(const v1::Files& files, const Reader& reader)
{
    if (files.mode().empty()) return {};
    std::string text = row("Files", files.mode() + ifAny(": {}", files.note()));
    if (files.folders_size()) text += row("", foldersText(files, reader));
    return text;
}

std::string hostEnd(const v1::Port& port)
{
    bool v6 = port.host_address().find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", port.host_address(), v6 ? "]" : "",
                       port.host_port());
}

std::string containerEnd(const v1::Port& port)
{
    return fmt::format("{}:{}{}", port.container(), port.container_port(),
                       port.protocol() == "tcp" ? "" : "/" + port.protocol());
}

std::vector<std::string> portLines(const v1::State& state, const Reader& reader)
{
    std::size_t hostWidth = 0;
    std::size_t containerWidth = 0;
    for (const auto& port : state.ports()) {
        hostWidth = std::max(hostWidth, hostEnd(port).size());
        containerWidth = std::max(containerWidth, containerEnd(port).size());
    }
    std::vector<std::string> lines;
    for (const auto& port : state.ports()) {
        std::string tail =
            port.refusal().empty()
                ? listed({ago(port.since_unix_ms(), reader.nowUnixMs), sizeText(port.bytes())})
                : "REFUSED: " + port.refusal();
        lines.push_back(fmt::format("{:<{}}  -> {:<{}}   {}", hostEnd(port), hostWidth,
                                    containerEnd(port), containerWidth, tail));
    }
    return lines;
}

std::string portRows(const v1::State& state, const Reader& reader)
{
    std::string text;
    for (const auto& line : portLines(state, reader))
        text += row(text.empty() ? "Ports" : "", line);
    return text;
}

// "slipway-bridge" -> "Bridge"
std::string shortName(std::string name)
{
    if (name.starts_with("slipway-")) name.erase(0, std::string_view("slipway-").size());
    if (!name.empty() && name[0] >= 'a' && name[0] <= 'z')
        name[0] = static_cast<char>(name[0] - 'a' + 'A');
    return name;
}

std::string processesText(const v1::State& state, const Reader& reader)
{
    std::vector<std::string> parts;
    bool desktop = false;
    for (const auto& process : state.processes()) {
        std::string size = process.pss_bytes() ? sizeText(process.pss_bytes()) : "running";
        parts.push_back(fmt::format("{} {}", shortName(process.name()), size));
        desktop = desktop || process.name() == "slipway-desktop";
    }
    if (!desktop)
        parts.push_back(
            fmt::format("desktop not running{}", reader.display ? "" : " (no display)"));
    return row("Memory", fmt::format("{}", fmt::join(parts, ", ")));
}

std::string warningsText(const v1::State& state)
{
    std::string text;
    int number = 0;
    for (const auto& warning : state.warnings()) {
        text += row(number ? "" : "Warnings", fmt::format("{}  {}", number + 1, warning.text()));
        if (!warning.remedy().empty()) text += row("", "   -> " + warning.remedy());
        ++number;
    }
    return text;
}

}  // namespace

int exitCodeOf(v1::Condition condition)
{
    switch (condition) {
        case v1::CONDITION_RUNNING:
            return kExitRunning;
        case v1::CONDITION_STOPPED:
        case v1::CONDITION_STOPPING:
            return kExitStopped;
        case v1::CONDITION_STARTING:
        case v1::CONDITION_DEGRADED:
            return kExitDegraded;
        default:
            return kExitTrouble;
    }
}

std::string_view nameOf(v1::Condition condition)
{
    switch (condition) {
        case v1::CONDITION_STOPPED:
            return "stopped";
        case v1::CONDITION_STARTING:
            return "starting";
        case v1::CONDITION_RUNNING:
            return "running";
        case v1::CONDITION_DEGRADED:
            return "degraded";
        case v1::CONDITION_STOPPING:
            return "stopping";
        case v1::CONDITION_TROUBLE:
            return "trouble";
        default:
            return "unknown";
    }
}

std::string statusText(const v1::State& state, const Reader& reader)
{
    std::string text = headText(state, reader);
    bool running = state.condition() != v1::CONDITION_STOPPED;
    if (running) {
        text += engineText(state.engine(), reader);
        text += endpointText(state.endpoint());
        text += machineText(state.machine());
        text += filesText(state.files(), reader);
        text += portRows(state, reader);
        if (!state.machine().network().empty())
            text += row("Network", "egress " + state.machine().network());
        if (state.processes_size()) text += processesText(state, reader);
    }
    text += warningsText(state);
    if (!running) text += "start it with: slipway start\n";
    return text;
}

std::string portsText(const v1::State& state, const Reader& reader)
{
    if (!state.ports_size()) return "no ports are published\n";
    std::string text;
    auto lines = portLines(state, reader);
    for (int i = 0; i < state.ports_size(); ++i) {
        text += lines[static_cast<std::size_t>(i)] + "\n";
        if (!state.ports(i).remedy().empty()) text += "   -> " + state.ports(i).remedy() + "\n";
    }
    return text;
}

std::string sharesText(const v1::Files& files, const Reader& reader)
{
    if (!files.folders_size()) return "no host folders are in use\n";
    std::size_t width = 0;
    for (const auto& folder : files.folders())
        width = std::max(width, withTilde(folder.host_path(), reader.userHome).size());
    std::string text = fmt::format("files: {}{}\n", files.mode(), ifAny(": {}", files.note()));
    for (const auto& folder : files.folders())
        text += fmt::format("{:<{}}  {}\n", withTilde(folder.host_path(), reader.userHome), width,
                            fmt::join(folder.containers(), ", "));
    return text;
}

}  // namespace slipway
