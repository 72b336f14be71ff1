#include "shared/core/log.h"

#include <cstdlib>

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "shared/core/folder_owner.h"

namespace slipway::log {
namespace {

constexpr std::size_t kMaxFileBytes = 5u << 20;
constexpr std::size_t kOldFiles = 3;

spdlog::level::level_enum levelOf(Level level)
{
    switch (level) {
        case Level::Trace:
            return spdlog::level::trace;
        case Level::Debug:
            return spdlog::level::debug;
        case Level::Info:
            return spdlog::level::info;
        case Level::Warn:
            return spdlog::level::warn;
        case Level::Error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

std::shared_ptr<spdlog::logger> dressed(std::shared_ptr<spdlog::logger> logger)
{
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v", spdlog::pattern_time_type::utc);
    const char* level = std::getenv("SLIPWAY_LOG");
    logger->set_level(level ? spdlog::level::from_str(level) : spdlog::level::info);
    logger->flush_on(spdlog::level::trace);
    return logger;
}

std::shared_ptr<spdlog::logger>& logger()
{
    static auto current = dressed(std::make_shared<spdlog::logger>(
        "slipway", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
    return current;
}

}  // namespace

Result<> toFile(const std::filesystem::path& file)
{
    spdlog::file_event_handlers opened;  // At first, and after each rotation.
    opened.after_open = [](const std::string& path, std::FILE*) { (void)giveToFolderOwner(path); };
    try {
        logger() = dressed(std::make_shared<spdlog::logger>(
            "slipway", std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
                           file.string(), kMaxFileBytes, kOldFiles, false, opened)));
    } catch (const spdlog::spdlog_ex& e) {
        return fail(Code::Unavailable, fmt::format("open log {}: {}", file.string(), e.what()));
    }
    return {};
}

void toStderr()
{
    logger() = dressed(std::make_shared<spdlog::logger>(
        "slipway", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
}

bool enabled(Level level)
{
    return logger()->should_log(levelOf(level));
}

void write(Level level, std::string_view line)
{
    logger()->log(levelOf(level), line);
}

}  // namespace slipway::log
