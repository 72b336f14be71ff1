#include "shared/json/json.h"

#include <algorithm>
#include <utility>

#include <boost/json/src.hpp>  // Boost.JSON itself, built here and nowhere else.
#include <fmt/format.h>

namespace slipway {
namespace {

void print(std::string& text, const boost::json::value& value, std::size_t depth);

// `each` prints one member.
template <class Members, class Each>
void printMembers(std::string& text, std::string_view brackets, const Members& members,
                  std::size_t depth, Each each)
{
    text += brackets.front();
    const std::string indent = "\n" + std::string(2 * (depth + 1), ' ');
    bool first = true;
    for (const auto& member : members) {
        if (!std::exchange(first, false)) text += ',';
        text += indent;
        each(member);
    }
    if (!first) text += indent.substr(0, indent.size() - 2);
    text += brackets.back();
}

void print(std::string& text, const boost::json::value& value, std::size_t depth)
{
    if (const auto* object = value.if_object())
        return printMembers(text, "{}", *object, depth, [&](const auto& member) {
            text += boost::json::serialize(boost::json::string(member.key())) + ": ";
            print(text, member.value(), depth + 1);
        });
    if (const auto* array = value.if_array())
        return printMembers(text, "[]", *array, depth,
                            [&](const auto& element) { print(text, element, depth + 1); });
    text += boost::json::serialize(value);
}

}  // namespace

std::string toPrettyText(const boost::json::value& value)
{
    std::string text;
    print(text, value, 0);
    return text + "\n";
}

Result<boost::json::value> parseJson(std::string_view text, std::string_view what)
{
    boost::json::error_code error;
    boost::json::stream_parser parser;
    std::size_t read = parser.write_some(text.data(), text.size(), error);
    if (!error && read < text.size() &&
        text.find_first_not_of(" \t\r\n", read) != std::string_view::npos)
        error = boost::json::error::extra_data;
    if (!error) parser.finish(error);
    if (!error) return parser.release();
    std::string_view before = text.substr(0, read);
    auto line = std::count(before.begin(), before.end(), '\n') + 1;
    std::size_t lineStart = before.rfind('\n');
    std::size_t column = lineStart == std::string_view::npos ? read + 1 : read - lineStart;
    return fail(Code::InvalidArgument,
                fmt::format("{}, line {}, column {}: {}", what, line, column, error.message()));
}

}  // namespace slipway
