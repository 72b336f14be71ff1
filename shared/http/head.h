// The heads of HTTP/1.x messages: parsed strictly, framed, and written out again as understood.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/core/error.h"

namespace slipway::http {

// What Go's server, and so dockerd, takes as well (net/http.DefaultMaxHeaderBytes).
inline constexpr std::size_t kMaxHeadBytes = 1u << 20;

struct Field {
    std::string name;  // As it was spelled.
    std::string value;
};

// What both kinds of head share. Fields keep their order and their spelling; names compare without
// case.
struct Head {
    int version = 11;  // 10 or 11.
    std::vector<Field> fields;

    std::size_t count(std::string_view name) const;
    std::optional<std::string_view> find(std::string_view name) const;
    bool hasToken(std::string_view name, std::string_view token) const;  // In a list with commas.
    void remove(std::string_view name);
    void set(std::string_view name, std::string value);
    bool keepsAlive() const;  // As `Connection` and the version say.
};

struct RequestHead : Head {
    std::string method;
    std::string target;
};

struct ResponseHead : Head {
    unsigned status = 0;
    std::string reason;
};

// How far a body reaches (RFC 9112, section 6).
struct Framing {
    enum class Kind { None, Length, Chunked, UntilClose };
    Kind kind = Kind::None;
    std::uint64_t length = 0;
};

// The length of the head `text` begins with, its empty line included; 0 if more bytes are needed.
// `from` is where an earlier search of the same text ended.
std::size_t headLength(std::string_view text, std::size_t from = 0);

// `text` is one whole head. InvalidArgument for what is malformed, or could be framed in two ways.
Result<RequestHead> parseRequest(std::string_view text);
Result<ResponseHead> parseResponse(std::string_view text);

// Heads that came from parse… have exactly one framing.
Framing framingOf(const RequestHead& head);
Framing framingOf(const ResponseHead& head, std::string_view requestMethod);

std::string toText(const RequestHead& head);
std::string toText(const ResponseHead& head);

// The path of a request's target: no scheme, authority or query, escapes decoded.
std::string pathOf(std::string_view target);
// The decoded value of a query's key, if it is there.
std::optional<std::string> queryValue(std::string_view target, std::string_view key);

}  // namespace slipway::http
