// Boost.JSON with errors a person can act on: what, line and column.
#pragma once

#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "shared/core/error.h"

namespace slipway {

// `what` names the text, a file's path for one: "settings.json, line 3, column 7: expected comma".
Result<boost::json::value> parseJson(std::string_view text, std::string_view what);

// As people lay JSON out: a member a line. Ends with a line's end.
std::string toPrettyText(const boost::json::value& value);

}  // namespace slipway
