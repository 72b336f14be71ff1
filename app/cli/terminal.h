// Whether a person is at the other end, and asking them.
#pragma once

#include <cstddef>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

bool stdinIsTerminal();
// How wide a line may be; 0: no terminal, so that nobody is helped by breaking lines.
std::size_t stdoutColumns();
std::size_t stderrColumns();
bool displayIsThere();  // A desktop session that a tray icon could appear in.

// Prints the question and reads a line: only "y" and "yes" are a yes. Refuses where nobody can
// answer, naming `command` with --yes as the way out.
Result<bool> confirm(std::string_view question, std::string_view command);

}  // namespace slipway
