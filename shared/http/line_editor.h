// A body of lines, such as a stream of JSON messages, edited on its way.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace slipway::http {

class LineEditor {
public:
    // Gets a line with its ending, and gives what goes on in its place.
    using Edit = std::function<std::string(std::string_view line)>;

    explicit LineEditor(Edit edit) : m_edit(std::move(edit)) {}

    // The chunks (RFC 9112, section 7.1) for the lines that `content` completes; with `ended` for
    // all that is left, and the last one.
    std::string take(std::string_view content, bool ended);

private:
    Edit m_edit;
    std::string m_line;  // Begun. One that is too long to be a message goes on unedited.
};

}  // namespace slipway::http
