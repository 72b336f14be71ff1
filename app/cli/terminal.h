// Whether a person is at the other end, and asking them.
#pragma once

#include <string_view>

#include "shared/core/error.h"

namespace slipway {

bool stdinIsTerminal();
bool stderrIsTerminal();
bool displayIsThere();  // A desktop session that a tray icon could appear in.

// Prints the question and reads a line: only "y" and "yes" are a yes. Refuses where nobody can
// answer, naming `command` with --yes as the way out.
Result<bool> confirm(std::string_view question, std::string_view command);

}  // namespace slipway
