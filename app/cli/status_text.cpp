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
constexpr std::size_t kGap = 2;
constexpr std::size_t kNumberWidth = 3;  // Of a warning.
constexpr int kFoldersShown = 4;

// What stands on the right goes below where the line has no room for it.
std::string row(std::string_view label, std::string_view left, const Reader& reader,
                std::string_view right = {})
{
    std::string line = fmt::format("{:<{}}{}", label, kLabelWidth, left);
    if (right.empty()) return wrapped(line, reader.columns, kLabelWidth) + "\n";
    std::size_t least = widthOf(line) + kGap;
    if (reader.columns && least + widthOf(right) > reader.columns)
        return row(label, left, reader) + row("", right, reader);
    std::size_t column = kRightColumn;
    if (reader.columns) column = std::min(column, reader.columns - widthOf(right));
    return fmt::format("{:<{}}{}\n", line, std::max(column, least), right);
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

std::string timeSince(std::int64_t unixMs, std::int64_t nowUnixMs)
{
    return unixMs ? durationText(nowUnixMs - unixMs) : std::string();
}

std::string agoText(std::int64_t ms)
{
    return ms < 1000 ? "just now" : durationText(ms) + " ago";
}

std::string containersText(std::size_t count)
{
    return count ? countText(count, "container") : "no containers";
}

bool engineAnswers(const v1::State& state)
{
    return state.condition() == v1::CONDITION_RUNNING ||
           state.condition() == v1::CONDITION_DEGRADED;
}

std::string headText(const v1::State& state, const Reader& reader)
{
    bool answers = engineAnswers(state);
    std::string left = conditionText(state);
    if (answers && !state.engine().version().empty())
        left.insert(nameOf(state.condition()).size(),
                    ", " + containersText(state.engine().containers_running()));
    std::string since = timeSince(state.since_unix_ms(), reader.nowUnixMs);
    return row(fmt::format("Slipway {}   ", state.version()), left, reader,
               since.empty() ? since : fmt::format("{} {}", answers ? "up" : "for", since));
}

std::string engineText(const v1::Engine& engine, const Reader& reader)
{
    if (engine.version().empty()) return {};
    std::string ping;
    if (engine.pinged_unix_ms())
        ping = fmt::format("/_ping {:.1f} ms, {}", engine.ping_us() / 1000.0,
                           agoText(reader.nowUnixMs - engine.pinged_unix_ms()));
    return row("Engine",
               listed({"Docker " + engine.version(), ifAny("API {}", engine.api_version()),
                       engine.storage_driver()}),
               reader, ping);
}

// Only where there is a choice.
std::string enginesRow(const v1::State& state, const Reader& reader)
{
    std::string rows;
    for (const auto& engine : state.engines())
        if (state.engines_size() > 1)
            rows += row(rows.empty() ? "Engines" : "", engineLine(engine), reader,
                        engine.in_use() ? "in use" : "context " + engine.context());
    return rows;
}

std::string endpointText(const v1::Endpoint& endpoint, const Reader& reader)
{
    if (endpoint.url().empty()) return {};
    std::string context;
    if (!endpoint.context().empty())
        context = fmt::format("context {} ({})", endpoint.context(),
                              endpoint.context_current() ? "current" : "not current");
    std::string rows = row("Endpoint", endpoint.url(), reader, context);
    if (!endpoint.tcp_url().empty() && endpoint.tcp_trouble().empty())
        rows += row("", endpoint.tcp_url(), reader, endpoint.tcp_tls() ? "TLS" : "no TLS");
    return rows;
}

std::string machineText(const v1::Machine& machine, const Reader& reader)
{
    if (!machine.pid()) return {};
    return row(
        "Machine",
        listed({machine.kind(), machine.user(),
                machine.cgroup_version() ? fmt::format("cgroup v{}", machine.cgroup_version()) : "",
                machine.subnet()}),
        reader,
        listed({machine.memory_bytes() ? sizeText(machine.memory_bytes()) + " memory" : "",
                machine.disk_bytes() ? sizeText(machine.disk_bytes()) + " disk" : ""}));
}

std::string networkText(const v1::Machine& machine, const Reader& reader)
{
    if (machine.network().empty()) return {};
    return row(
        "Network",
        listed({"egress " + machine.network(), ifAny("name server {}", machine.nameserver())}),
        reader);
}

// What each mode is and confines, and whether the other can be had: SECURITY.md, "Host files".
std::string modeText(const v1::Files& files)
{
    std::string_view what = files.mode() == "direct" ? "native speed, no confinement"
                                                     : "only folders once bind-mounted";
    return fmt::format("{}: {} (see SECURITY); {}", files.mode(), what,
                       files.other_refusal().empty()
                           ? files.other_mode() + " available"
                           : fmt::format("no {}: {}", files.other_mode(), files.other_refusal()));
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
    std::string text = row("Files", modeText(files), reader);
    if (!files.note().empty()) text += row("", files.note(), reader);
    if (files.folders_size()) text += row("", foldersText(files, reader), reader);
    return text;
}

std::string hostEnd(const v1::Port& port)
{
    bool v6 = port.host_address().find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", port.host_address(), v6 ? "]" : "",
                       port.host_port());
}

std::string protocolOf(const v1::Port& port)
{
    return port.protocol() == "tcp" ? "" : "/" + port.protocol();
}

std::string containerEnd(const v1::Port& port)
{
    return fmt::format("{}:{}{}", port.container(), port.container_port(), protocolOf(port));
}

std::string withoutStart(const std::string& text, std::string_view start)
{
    return text.starts_with(start) ? text.substr(start.size()) : text;
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
                ? listed({ifAny("for {}", timeSince(port.since_unix_ms(), reader.nowUnixMs)),
                          sizeText(port.bytes())})
                : "REFUSED: " +
                      withoutStart(port.refusal(),
                                   fmt::format("bind {}{}: ", hostEnd(port), protocolOf(port)));
        lines.push_back(fmt::format("{:<{}}  -> {:<{}}   {}", hostEnd(port), hostWidth,
                                    containerEnd(port), containerWidth, tail));
    }
    return lines;
}

std::string portRows(const v1::State& state, const Reader& reader)
{
    std::string text;
    for (const auto& line : portLines(state, reader))
        text += row(text.empty() ? "Ports" : "", line, reader);
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
            fmt::format("Desktop not running{}", reader.display ? "" : " (no display)"));
    return row("Memory", fmt::format("{}", fmt::join(parts, ", ")), reader);
}

std::string warningsText(const v1::State& state, const Reader& reader)
{
    std::string text;
    int number = 0;
    for (const auto& warning : state.warnings()) {
        std::string start = fmt::format("{:<{}}{:<{}}", number ? "" : "Warnings", kLabelWidth,
                                        number + 1, kNumberWidth);
        text += wrapped(start + warning.text(), reader.columns, start.size()) + "\n";
        ++number;
        if (warning.remedy().empty()) continue;
        start = fmt::format("{:{}}-> ", "", start.size());
        text += wrapped(start + warning.remedy(), reader.columns, start.size()) + "\n";
    }
    return text;
}

// Where there is nothing to list, the engine's condition may be why.
std::string nothing(std::string_view what, const v1::State& state)
{
    if (engineAnswers(state)) return fmt::format("{}\n", what);
    return fmt::format("{}: the engine is not running ({})\n", what, nameOf(state.condition()));
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

std::string conditionText(const v1::State& state)
{
    std::string name{nameOf(state.condition())};
    if (state.reason().starts_with(name + ' ')) return state.reason();
    return name + ifAny(": {}", state.reason());
}

std::string statusText(const v1::State& state, const Reader& reader)
{
    std::string text = headText(state, reader);
    bool stopped = state.condition() == v1::CONDITION_STOPPED;
    if (stopped) text += row("Home", withTilde(state.home(), reader.userHome), reader);
    if (!stopped) {
        text += engineText(state.engine(), reader);
        text += endpointText(state.endpoint(), reader);
        text += enginesRow(state, reader);
        text += machineText(state.machine(), reader);
        text += filesText(state.files(), reader);
        text += portRows(state, reader);
        text += networkText(state.machine(), reader);
    }
    if (state.processes_size()) text += processesText(state, reader);
    text += warningsText(state, reader);
    if (stopped) text += "start it with: slipway start\n";
    return text;
}

std::string engineLine(const v1::KnownEngine& engine)
{
    std::string line = engine.name();
    if (engine.trouble().empty() && !engine.version().empty())
        line += ", Docker " + engine.version();
    line += " at " + engine.address() + (engine.tls_folder().empty() ? "" : " with TLS");
    return line + ifAny(": {}", engine.trouble());
}

std::string enginesText(const v1::State& state)
{
    std::string text;
    for (const auto& engine : state.engines())
        text += fmt::format("{} {}\n    always at the context {}\n", engine.in_use() ? '*' : ' ',
                            engineLine(engine), engine.context());
    if (state.engines_size() == 1)
        text += "a Windows engine can be added: slipway engine add windows --help\n";
    return text;
}

bool usesWindows(const v1::State& state)
{
    return std::any_of(state.engines().begin(), state.engines().end(), [](const auto& engine) {
        return engine.in_use() && engine.name() == "windows";
    });
}

std::string portsText(const v1::State& state, const Reader& reader)
{
    if (!state.ports_size()) return nothing("no ports are published", state);
    std::string text;
    auto lines = portLines(state, reader);
    for (int i = 0; i < state.ports_size(); ++i) {
        text += lines[static_cast<std::size_t>(i)] + "\n";
        if (!state.ports(i).remedy().empty()) text += "   -> " + state.ports(i).remedy() + "\n";
    }
    return text;
}

std::string sharesText(const v1::State& state, const Reader& reader)
{
    const v1::Files& files = state.files();
    if (!files.folders_size()) return nothing("no host folders are in use", state);
    std::size_t width = 0;
    for (const auto& folder : files.folders())
        width = std::max(width, widthOf(withTilde(folder.host_path(), reader.userHome)));
    std::string text = modeText(files) + "\n" + ifAny("{}\n", files.note());
    for (const auto& folder : files.folders())
        text += fmt::format("{:<{}}  {}\n", withTilde(folder.host_path(), reader.userHome), width,
                            fmt::join(folder.containers(), ", "));
    return text;
}

}  // namespace slipway
