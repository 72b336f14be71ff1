#include "wsl-bridge/settings/settings.h"

#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "shared/json/json.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

std::optional<std::string> contentOf(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

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

Result<Settings> settingsOf(const json::value& value)
{
    if (!value.is_object())
        return fail(Code::InvalidArgument, "the settings are not a JSON object");
    const json::object& object = value.get_object();
    Settings settings;
    TRY(auto files, textOf(object, "files", "direct"));
    if (files == "fuse")
        settings.files = FilesMode::Fuse;
    else if (files != "direct")
        return fail(Code::InvalidArgument,
                    fmt::format("\"files\" is \"{}\", not direct or fuse", files));
    TRY(auto publish, textOf(object, "publish", "localhost"));
    if (publish == "all")
        settings.publish = PublishAddress::All;
    else if (publish != "localhost")
        return fail(Code::InvalidArgument,
                    fmt::format("\"publish\" is \"{}\", not localhost or all", publish));
    TRY(auto rootfs, textOf(object, "rootfs", ""));
    settings.rootfs = rootfs;
    return settings;
}

}  // namespace

std::string_view name(FilesMode mode)
{
    return mode == FilesMode::Direct ? "direct" : "fuse";
}

Loaded<Settings> loadSettings(const fs::path& file)
{
    auto text = contentOf(file);
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
    auto text = contentOf(file);
    if (!text) return {};
    auto parsed = parseJson(*text, file.string());
    if (!parsed) return {{}, {keepAside(file, parsed.error().message)}};
    if (!parsed->is_object())
        return {{}, {keepAside(file, fmt::format("{}: not a JSON object", file.string()))}};
    return {*text, {}};
}

}  // namespace slipway
