#include "shared/core/open_limit.h"

#include <fmt/format.h>

namespace slipway {

Result<> roomForPort(std::size_t ports, std::size_t filesEach)
{
    auto fits = [&] { return (ports + 1) * filesEach <= maxOpenFiles() / 2; };
    if (fits()) return {};
    raiseOpenFileLimit();
    if (fits()) return {};
    return fail(Code::ResourceExhausted,
                fmt::format("{} ports are published, and one more would take over half of the {} "
                            "files that a process may have open here; publish fewer, or raise "
                            "that limit (ulimit -Hn) where Slipway is started",
                            ports, maxOpenFiles()));
}

}  // namespace slipway
