// The texts by which binds are asked for: `source:destination[:options]`, and volumes' options.
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

// Whether a local volume's option `o`, as mount(8) has it, makes it a bind of its device.
bool isBind(std::string_view mountOptions);

// As dockerd keeps a destination: without `.`, `..` and a slash at the end.
std::string tidyDestination(std::string_view destination);

}  // namespace slipway
