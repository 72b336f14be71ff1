// One entry of HostConfig.Binds: `source:destination[:options]`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace slipway {

struct BindSpec {
    std::string source;
    std::string destination;
    std::string rest;  // ":options", or nothing.

    std::string text() const { return source + ':' + destination + rest; }
};

// None if the source is no path but a volume's name, or there is none.
std::optional<BindSpec> parseBind(std::string_view text);

// As dockerd keeps a destination: without `.`, `..` and a slash at the end.
std::string tidyDestination(std::string_view destination);

}  // namespace slipway
