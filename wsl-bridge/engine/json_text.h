// JSON edited in place: finds values in a text by the names that lead to them, and replaces
// strings.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wsl-bridge/engine/json_string.h"

namespace slipway {

// A value's place in its text, without the blanks around it.
struct JsonSpan {
    std::size_t begin = 0;
    std::size_t end = 0;
};

struct JsonEdit {
    JsonSpan where;
    std::string replacement;  // JSON text.
};

// A text that is valid JSON (RFC 8259, nested at most as deep as Go's decoder goes). It must
// outlive this.
class JsonText {
public:
    static std::optional<JsonText> scan(std::string_view text);

    std::string_view text() const { return m_text; }
    JsonSpan root() const { return m_root; }
    std::string_view at(JsonSpan span) const
    {
        return m_text.substr(span.begin, span.end - span.begin);
    }

    // Members of an object whose name equals `name` as Go's decoder compares: without case. All of
    // them, in their order, as a name may occur twice. None if `object` is no object.
    std::vector<JsonSpan> members(JsonSpan object, std::string_view name) const;
    // All of them, with their names decoded. None if `object` is no object.
    std::vector<std::pair<std::string, JsonSpan>> namedMembers(JsonSpan object) const;
    std::vector<JsonSpan> elements(JsonSpan array) const;  // None if it is no array.
    // The one that Go's decoder is left with: the last that is not null.
    std::optional<JsonSpan> member(JsonSpan object, std::string_view name) const;
    // members() of members(): all values that `names` lead to.
    std::vector<JsonSpan> reach(JsonSpan object,
                                std::initializer_list<std::string_view> names) const;

    // Decoded as Go does, bytes that are no UTF-8 included; none if it is no string.
    std::optional<std::string> string(JsonSpan value) const;
    // member()'s; empty if it is no string.
    std::string stringIn(JsonSpan object, std::string_view name) const;
    bool isTrue(JsonSpan value) const { return at(value) == "true"; }

private:
    explicit JsonText(std::string_view text) : m_text(text) {}
    void forEachMember(JsonSpan object, const std::function<void(JsonSpan, JsonSpan)>& seen) const;

    std::string_view m_text;
    JsonSpan m_root;
};

// Edits may come in any order; they must not overlap.
std::string withEdits(std::string_view text, std::vector<JsonEdit> edits);

}  // namespace slipway
