#include "shared/json/json.h"

#include <algorithm>

#include <boost/json/src.hpp>  // Boost.JSON itself, built here and nowhere else.
#include <fmt/format.h>

namespace slipway {

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
