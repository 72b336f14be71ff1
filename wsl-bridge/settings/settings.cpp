#include "wsl-bridge/settings/settings.h"

#include <functional>
#include <optional>

#include <fmt/format.h>

#include "shared/core/small_file.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// A name that holds nothing yet, so that an earlier mishap is not overwritten by a later one.
fs::path asideName(const fs::path& file)
{
    fs::path aside = file.string() + ".bad";
    for (int i = 2; fs::exists(aside); ++i) aside = fmt::format("{}.bad{}", file.string(), i);
    return aside;
}

Complaint keepAside(const fs::path& file, const std::string& why)
{
    fs::path aside = asideName(file);
    std::error_code failed;
    fs::rename(file, aside, failed);
    if (failed)
        return {fmt::format("{}; defaults are used", why), "mend the file, then: slipway restart"};
    return {fmt::format("{}; kept as {}, defaults are used", why, aside.filename().string()),
            fmt::format("mend {}, name it {} again, then: slipway restart", aside.string(),
                        file.filename().string())};
}

Result<std::string> textOf(const json::object& object, std::string_view key, std::string fallback)
{
    const json::value* value = object.if_contains(key);
    if (!value) return fallback;
    if (!value->is_string())
        return fail(Code::InvalidArgument, fmt::format("\"{}\" must be a string", key));
    return std::string(value->get_string());
}

// Whether the key has the second of two words; the first is what its absence means.
Result<bool> isSecond(const json::object& object, std::string_view key, std::string_view first,
                      std::string_view second)
{
    TRY(auto text, textOf(object, key, std::string(first)));
    if (text == first || text == second) return text == second;
    return fail(Code::InvalidArgument,
                fmt::format("\"{}\" is \"{}\", not {} or {}", key, text, first, second));
}

Result<StreamsMode> streamsNamed(const std::string& text)
{
    if (text == "handed") return StreamsMode::Handed;
    if (text == "relayed") return StreamsMode::Relayed;
    if (text == "multiplexed") return StreamsMode::Multiplexed;
    return fail(Code::InvalidArgument,
                fmt::format("\"streams\" is \"{}\", not handed, relayed or multiplexed", text));
}

Result<std::vector<std::uint16_t>> portsOf(const json::value& value)
{
    auto wrong =
        fail(Code::InvalidArgument, "\"host_services\" must be a list of ports, from 1 to 65535");
    if (!value.is_array()) return wrong;
    std::vector<std::uint16_t> ports;
    for (const json::value& each : value.get_array()) {
        json::error_code failed;
        ports.push_back(each.to_number<std::uint16_t>(failed));
        if (failed || ports.back() == 0) return wrong;
    }
    return ports;
}

Result<WindowsEngine> windowsOf(const json::value& value)
{
    if (!value.is_object())
        return fail(Code::InvalidArgument, "\"windows\" must be an object with \"host\"");
    WindowsEngine windows;
    TRY(auto host, textOf(value.get_object(), "host", ""));
    windows.host = host;
    TRY(auto tlsDir, textOf(value.get_object(), "tls", ""));
    windows.tlsDir = tlsDir;
    if (windows.host.empty()) return fail(Code::InvalidArgument, "\"windows\" names no \"host\"");
    return windows;
}

Result<TcpSettings> tcpOf(const json::value& value)
{
    if (!value.is_object()) return fail(Code::InvalidArgument, "\"tcp\" must be an object");
    const json::object& object = value.get_object();
    TcpSettings tcp;
    TRY(auto address, textOf(object, "address", tcp.address));
    tcp.address = address;
    if (const json::value* tls = object.if_contains("tls")) {
        if (!tls->is_bool()) return fail(Code::InvalidArgument, "\"tls\" must be true or false");
        tcp.tls = tls->get_bool();
    }
    tcp.port = tcp.tls ? kDockerTlsPort : kDockerPort;
    if (const json::value* port = object.if_contains("port")) {
        json::error_code wrong;
        tcp.port = port->to_number<std::uint16_t>(wrong);
        if (wrong || tcp.port == 0)
            return fail(Code::InvalidArgument, "\"port\" must be a number from 1 to 65535");
    }
    return tcp;
}

Result<Settings> settingsOf(const json::value& value)
{
    if (!value.is_object())
        return fail(Code::InvalidArgument, "the settings are not a JSON object");
    const json::object& object = value.get_object();
    Settings settings;
    TRY(bool fuse, isSecond(object, "files", "direct", "fuse"));
    if (fuse) settings.files = FilesMode::Fuse;
    TRY(auto streams, textOf(object, "streams", "handed"));
    TRY(settings.streams, streamsNamed(streams));
    TRY(bool all, isSecond(object, "publish", "localhost", "all"));
    if (all) settings.publish = PublishAddress::All;
    if (object.contains("egress")) {
        TRY(auto text, textOf(object, "egress", ""));
        auto egress = egressNamed(text);
        if (!egress) return tl::unexpected(context("\"egress\"", egress.error()));
        settings.egress = *egress;
    }
    if (const json::value* services = object.if_contains("host_services")) {
        TRY(settings.hostServices, portsOf(*services));
    }
    TRY(bool hostProxies, isSecond(object, "proxies", "none", "host"));
    settings.hostProxies = hostProxies;
    TRY(auto rootfs, textOf(object, "rootfs", ""));
    settings.rootfs = rootfs;
    if (const json::value* described = object.if_contains("tcp")) {
        TRY(auto tcp, tcpOf(*described));
        settings.tcp = std::move(tcp);
    }
    if (const json::value* described = object.if_contains("windows")) {
        TRY(auto windows, windowsOf(*described));
        settings.windows = std::move(windows);
    }
    TRY(auto engineText, textOf(object, "engine", "linux"));
    auto engine = engineNamed(engineText);
    if (!engine) return tl::unexpected(context("\"engine\"", engine.error()));
    if (*engine == EngineName::Windows && !settings.windows)
        return fail(Code::InvalidArgument, "\"engine\" is \"windows\", but \"windows\" is not set");
    settings.engine = *engine;
    return settings;
}

Result<> changeFile(const fs::path& file, const std::function<void(json::object&)>& change)
{
    TRY(auto settings, parseJson(readFile(file).value_or("{}"), file.string()));
    if (!settings.is_object())
        return fail(Code::InvalidArgument, fmt::format("{}: not a JSON object", file.string()));
    change(settings.get_object());
    return replaceFile(file, toPrettyText(settings));
}

}  // namespace

std::string_view name(FilesMode mode)
{
    return mode == FilesMode::Direct ? "direct" : "fuse";
}

std::string_view name(EgressMode mode)
{
    return mode == EgressMode::Nat ? "nat" : "host";
}

Result<EgressMode> egressNamed(std::string_view text)
{
    for (EgressMode mode : {EgressMode::Nat, EgressMode::Host})
        if (text == name(mode)) return mode;
    return fail(Code::InvalidArgument, fmt::format("\"{}\" is not nat or host", text));
}

std::string_view name(EngineName engine)
{
    return engine == EngineName::Linux ? "linux" : "windows";
}

Result<EngineName> engineNamed(std::string_view text)
{
    for (EngineName engine : {EngineName::Linux, EngineName::Windows})
        if (text == name(engine)) return engine;
    return fail(Code::InvalidArgument, fmt::format("\"{}\" is not linux or windows", text));
}

Result<> saveEgress(const fs::path& file, EgressMode mode)
{
    return changeFile(file, [&](json::object& settings) { settings["egress"] = name(mode); });
}

Result<> saveTcp(const fs::path& file, const std::optional<TcpSettings>& tcp)
{
    return changeFile(file, [&](json::object& settings) {
        if (!tcp) return void(settings.stable_erase("tcp"));
        settings["tcp"] = {{"address", tcp->address}, {"port", tcp->port}, {"tls", tcp->tls}};
    });
}

Result<> saveEngines(const fs::path& file, const std::optional<WindowsEngine>& windows,
                     EngineName inUse)
{
    return changeFile(file, [&](json::object& settings) {
        settings["engine"] = name(inUse);
        if (!windows) return void(settings.stable_erase("windows"));
        json::object described{{"host", windows->host}};
        if (!windows->tlsDir.empty()) described["tls"] = windows->tlsDir.string();
        settings["windows"] = std::move(described);
    });
}

Settings peekSettings(const fs::path& file)
{
    auto parsed = parseJson(readFile(file).value_or("{}"), file.string());
    auto settings = parsed ? settingsOf(*parsed) : tl::unexpected(parsed.error());
    return settings.value_or(Settings{});
}

Loaded<Settings> loadSettings(const fs::path& file)
{
    auto text = readFile(file);
    if (!text) return {};
    auto parsed = parseJson(*text, file.string());
    if (!parsed) return {{}, {keepAside(file, parsed.error().message)}};
    auto settings = settingsOf(*parsed);
    if (!settings)
        return {{},
                {{fmt::format("{}: {}; defaults are used", file.string(), settings.error().message),
                  "mend the file, then: slipway restart"}}};
    return {*settings, {}};
}

Loaded<std::string> loadDaemonJson(const fs::path& file)
{
    auto text = readFile(file);
    if (!text) return {};
    auto parsed = parseJson(*text, file.string());
    if (!parsed) return {{}, {keepAside(file, parsed.error().message)}};
    if (!parsed->is_object())
        return {{}, {keepAside(file, fmt::format("{}: not a JSON object", file.string()))}};
    return {*text, {}};
}

}  // namespace slipway
