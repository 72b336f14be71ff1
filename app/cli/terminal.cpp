#include "app/cli/terminal.h"

#include <iostream>
#include <string>

#include <fmt/format.h>

namespace slipway {

Result<bool> confirm(std::string_view question, std::string_view command)
{
    if (!stdinIsTerminal())
        return fail(Code::FailedPrecondition,
                    fmt::format("nobody is there to confirm it: run it in a terminal, or {} --yes",
                                command));
    std::cout << question << " [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace slipway
