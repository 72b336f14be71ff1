// Where every program's log goes: one line an event, to a file that is rotated, or to stderr.
#pragma once

#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "shared/core/error.h"

namespace slipway::log {

enum class Level { Trace, Debug, Info, Warn, Error };

// Lines look like `2026-11-01T10:00:00.123Z warn  ports: …`. Until one of these is called, the log
// goes to stderr. The level is SLIPWAY_LOG (trace, debug, info, warn, error), info without it.
Result<> toFile(const std::filesystem::path& file);  // At most 5 MB, three old ones kept.
void toStderr();

bool enabled(Level level);
void write(Level level, std::string_view line);

template <class... Args>
void line(Level level, fmt::format_string<Args...> text, Args&&... args)
{
    if (enabled(level)) write(level, fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args)
{
    line(Level::Debug, text, std::forward<Args>(args)...);
}

template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args)
{
    line(Level::Info, text, std::forward<Args>(args)...);
}

template <class... Args>
void warn(fmt::format_string<Args...> text, Args&&... args)
{
    line(Level::Warn, text, std::forward<Args>(args)...);
}

template <class... Args>
void error(fmt::format_string<Args...> text, Args&&... args)
{
    line(Level::Error, text, std::forward<Args>(args)...);
}

}  // namespace slipway::log
