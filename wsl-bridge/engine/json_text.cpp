// Theory of operation. One pass checks the whole text with a stack of open brackets (no recursion,
// so no depth can exhaust ours). After that every walk may trust the text: a value is skipped by
// counting brackets outside of strings, names are found by walking one object, and nothing is kept
// but places. Edits replace exactly the bytes of the values they name; everything else goes through
// untouched.
#include "wsl-bridge/engine/json_text.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::size_t kMaxDepth = 10000;  // encoding/json's own limit.

bool isBlank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool isDigit(char c)
{
    return c >= '0' && c <= '9';
}

bool isHexDigit(char c)
{
    return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::size_t skipBlanks(std::string_view text, std::size_t at)
{
    while (at < text.size() && isBlank(text[at])) ++at;
    return at;
}

// The place after the string, number or word that begins at `at`; none if it is malformed.
std::optional<std::size_t> endOfString(std::string_view text, std::size_t at)
{
    for (++at; at < text.size(); ++at) {
        unsigned char c = static_cast<unsigned char>(text[at]);
        if (c == '"') return at + 1;
        if (c < 0x20) return std::nullopt;
        if (c != '\\') continue;
        if (++at >= text.size()) return std::nullopt;
        if (text[at] == 'u') {
            for (int digit = 0; digit < 4; ++digit)
                if (++at >= text.size() || !isHexDigit(text[at])) return std::nullopt;
        } else if (std::string_view("\"\\/bfnrt").find(text[at]) == std::string_view::npos) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

std::optional<std::size_t> endOfNumber(std::string_view text, std::size_t at)
{
    auto digits = [&] {
        std::size_t first = at;
        while (at < text.size() && isDigit(text[at])) ++at;
        return at > first;
    };
    auto is = [&](char c) { return at < text.size() && text[at] == c; };
    if (is('-')) ++at;
    if (is('0'))
        ++at;
    else if (!digits())
        return std::nullopt;
    if (is('.')) {
        ++at;
        if (!digits()) return std::nullopt;
    }
    if (is('e') || is('E')) {
        ++at;
        if (is('+') || is('-')) ++at;
        if (!digits()) return std::nullopt;
    }
    return at;
}

std::optional<std::size_t> endOfScalar(std::string_view text, std::size_t at)
{
    if (at >= text.size()) return std::nullopt;
    if (text[at] == '"') return endOfString(text, at);
    for (std::string_view word : {"true", "false", "null"})
        if (text.substr(at).starts_with(word)) return at + word.size();
    return endOfNumber(text, at);
}

// The place after a value in a text that is known to be valid.
std::size_t endOfValue(std::string_view text, std::size_t at)
{
    std::size_t depth = 0;
    do {
        char c = text[at];
        if (c == '{' || c == '[') {
            ++depth;
            ++at;
        } else if (c == '}' || c == ']') {
            --depth;
            ++at;
        } else if (c == ',' || c == ':' || isBlank(c)) {
            ++at;
        } else {
            at = *endOfScalar(text, at);
        }
    } while (depth > 0);
    return at;
}

// Checks one document. A loop over "what may come next" instead of recursion.
class Validator {
public:
    explicit Validator(std::string_view text) : m_text(text) {}

    std::optional<JsonSpan> run()
    {
        std::size_t begin = skipBlanks(m_text, 0);
        m_at = begin;
        do {
            if (!value()) return std::nullopt;
        } while (!m_open.empty());
        if (skipBlanks(m_text, m_at) != m_text.size()) return std::nullopt;
        return JsonSpan{begin, m_at};
    }

private:
    // One scalar or opening bracket, then all the closing brackets and the comma that follow it.
    bool value()
    {
        if (!m_open.empty() && m_open.back() == '{' && !name()) return false;
        m_at = skipBlanks(m_text, m_at);
        if (m_at >= m_text.size()) return false;
        if (m_text[m_at] == '{' || m_text[m_at] == '[') {
            if (m_open.size() >= kMaxDepth) return false;
            m_open.push_back(m_text[m_at++]);
            m_at = skipBlanks(m_text, m_at);
            if (!closes()) return m_at < m_text.size();
        } else {
            auto end = endOfScalar(m_text, m_at);
            if (!end) return false;
            m_at = *end;
        }
        return afterValue();
    }

    bool name()
    {
        m_at = skipBlanks(m_text, m_at);
        if (m_at >= m_text.size() || m_text[m_at] != '"') return false;
        auto end = endOfString(m_text, m_at);
        if (!end) return false;
        m_at = skipBlanks(m_text, *end);
        if (m_at >= m_text.size() || m_text[m_at] != ':') return false;
        ++m_at;
        return true;
    }

    bool afterValue()
    {
        while (!m_open.empty()) {
            std::size_t next = skipBlanks(m_text, m_at);
            if (next >= m_text.size()) return false;
            m_at = next;
            if (m_text[m_at] == ',') return ++m_at, true;
            if (!closes()) return false;
        }
        return true;
    }

    bool closes()
    {
        if (m_at >= m_text.size() || m_text[m_at] != (m_open.back() == '{' ? '}' : ']'))
            return false;
        m_open.pop_back();
        ++m_at;
        return true;
    }

    std::string_view m_text;
    std::string m_open;
    std::size_t m_at = 0;
};

// As encoding/json compares names: the only letters beyond ASCII that fold into it are the long s
// and the Kelvin sign.
std::string folded(std::string_view name)
{
    std::string plain;
    for (std::size_t at = 0; at < name.size(); ++at) {
        char c = name[at];
        if (name.substr(at).starts_with("\xc5\xbf")) {
            plain += 's';
            at += 1;
        } else if (name.substr(at).starts_with("\xe2\x84\xaa")) {
            plain += 'k';
            at += 2;
        } else {
            plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        }
    }
    return plain;
}

}  // namespace

std::optional<JsonText> JsonText::scan(std::string_view text)
{
    auto root = Validator(text).run();
    if (!root) return std::nullopt;
    JsonText json(text);
    json.m_root = *root;
    return json;
}

void JsonText::forEachMember(JsonSpan object,
                             const std::function<void(JsonSpan, JsonSpan)>& seen) const
{
    if (m_text[object.begin] != '{') return;
    std::size_t at = skipBlanks(m_text, object.begin + 1);
    while (m_text[at] != '}') {
        JsonSpan name{at, *endOfString(m_text, at)};
        at = skipBlanks(m_text, skipBlanks(m_text, name.end) + 1);
        JsonSpan value{at, endOfValue(m_text, at)};
        seen(name, value);
        at = skipBlanks(m_text, value.end);
        if (m_text[at] == ',') at = skipBlanks(m_text, at + 1);
    }
}

std::vector<JsonSpan> JsonText::members(JsonSpan object, std::string_view name) const
{
    std::vector<JsonSpan> found;
    std::string wanted = folded(name);
    forEachMember(object, [&](JsonSpan key, JsonSpan value) {
        if (folded(*string(key)) == wanted) found.push_back(value);
    });
    return found;
}

std::vector<std::pair<std::string, JsonSpan>> JsonText::namedMembers(JsonSpan object) const
{
    std::vector<std::pair<std::string, JsonSpan>> found;
    forEachMember(object,
                  [&](JsonSpan key, JsonSpan value) { found.emplace_back(*string(key), value); });
    return found;
}

std::optional<JsonSpan> JsonText::member(JsonSpan object, std::string_view name) const
{
    auto found = members(object, name);
    std::erase_if(found, [&](JsonSpan value) { return at(value) == "null"; });
    if (found.empty()) return std::nullopt;
    return found.back();
}

std::vector<JsonSpan> JsonText::reach(JsonSpan object,
                                      std::initializer_list<std::string_view> names) const
{
    std::vector<JsonSpan> found{object};
    for (std::string_view name : names) {
        std::vector<JsonSpan> below;
        for (JsonSpan one : found)
            for (JsonSpan member : members(one, name)) below.push_back(member);
        found = std::move(below);
    }
    return found;
}

std::vector<JsonSpan> JsonText::elements(JsonSpan array) const
{
    std::vector<JsonSpan> found;
    if (m_text[array.begin] != '[') return found;
    std::size_t at = skipBlanks(m_text, array.begin + 1);
    while (m_text[at] != ']') {
        found.push_back({at, endOfValue(m_text, at)});
        at = skipBlanks(m_text, found.back().end);
        if (m_text[at] == ',') at = skipBlanks(m_text, at + 1);
    }
    return found;
}

std::optional<std::string> JsonText::string(JsonSpan value) const
{
    if (m_text[value.begin] != '"') return std::nullopt;
    return decodedJsonString(m_text.substr(value.begin + 1, value.end - value.begin - 2));
}

std::string JsonText::stringIn(JsonSpan object, std::string_view name) const
{
    auto value = member(object, name);
    return (value ? string(*value) : std::nullopt).value_or("");
}

std::string withEdits(std::string_view text, std::vector<JsonEdit> edits)
{
    std::sort(edits.begin(), edits.end(),
              [](const JsonEdit& a, const JsonEdit& b) { return a.where.begin < b.where.begin; });
    std::string edited;
    std::size_t at = 0;
    for (const JsonEdit& edit : edits) {
        edited += text.substr(at, edit.where.begin - at);
        edited += edit.replacement;
        at = edit.where.end;
    }
    return edited += text.substr(at);
}

}  // namespace slipway
