// Theory of operation. Boost.Beast's parser checks the grammar; what it lets through and two
// implementations could still read differently is refused here: repeated or listed Content-Length,
// a Transfer-Encoding that is not exactly `chunked`, either of them beside the other, chunks under
// HTTP/1.0, no Host or several, folded lines. Heads are then written out anew from the parsed
// fields, so odd blanks never reach the engine.
#include "shared/http/head.h"

#include <algorithm>

#include <boost/beast/http/basic_parser.hpp>
#include <fmt/format.h>

#include "shared/core/number.h"

namespace slipway::http {
namespace {

namespace beast = boost::beast;
using ErrorCode = beast::error_code;

bool equalNames(std::string_view a, std::string_view b)
{
    return beast::iequals(a, b);
}

// Collects what Beast finds in one head; bodies are none of its business.
template <bool isRequest, class HeadType>
class HeadParser final : public beast::http::basic_parser<isRequest> {
public:
    HeadParser()
    {
        this->header_limit(static_cast<std::uint32_t>(kMaxHeadBytes));
        this->body_limit(boost::none);
        this->skip(true);
    }

    HeadType head;

private:
    using View = beast::string_view;

    void on_request_impl(beast::http::verb, View method, View target, int version,
                         ErrorCode&) override
    {
        if constexpr (isRequest) {
            head.method = method;
            head.target = target;
            head.version = version;
        }
    }
    void on_response_impl(int status, View reason, int version, ErrorCode&) override
    {
        if constexpr (!isRequest) {
            head.status = static_cast<unsigned>(status);
            head.reason = reason;
            head.version = version;
        }
    }
    void on_field_impl(beast::http::field, View name, View value, ErrorCode&) override
    {
        head.fields.push_back({std::string(name), std::string(value)});
    }
    void on_header_impl(ErrorCode&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(View body, ErrorCode&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View body, ErrorCode&) override
    {
        return body.size();
    }
    void on_finish_impl(ErrorCode&) override {}
};

template <bool isRequest, class HeadType>
Result<HeadType> parse(std::string_view text, std::string_view what)
{
    auto isBlank = [&](std::size_t at) { return text[at] == ' ' || text[at] == '\t'; };
    for (std::size_t end = text.find('\n'); end + 1 < text.size(); end = text.find('\n', end + 1))
        if (isBlank(end + 1))
            return fail(Code::InvalidArgument, fmt::format("malformed {}: a folded line", what));
    HeadParser<isRequest, HeadType> parser;
    ErrorCode failed;
    std::size_t used = parser.put(boost::asio::buffer(text.data(), text.size()), failed);
    if (failed == beast::http::error::need_more) failed = {};
    if (failed)
        return fail(Code::InvalidArgument, fmt::format("malformed {}: {}", what, failed.message()));
    if (!parser.is_header_done() || used != text.size())
        return fail(Code::InvalidArgument, fmt::format("malformed {}: bad line ending", what));
    return std::move(parser.head);
}

Result<> checkFraming(const Head& head, std::string_view what)
{
    auto refuse = [&](std::string_view why) {
        return fail(Code::InvalidArgument, fmt::format("malformed {}: {}", what, why));
    };
    auto coding = head.find("Transfer-Encoding");
    auto length = head.find("Content-Length");
    if (head.count("Content-Length") > 1) return refuse("more than one Content-Length");
    if (length && !numberIn<std::uint64_t>(*length))
        return refuse("Content-Length is not a number");
    if (!coding) return {};
    if (length) return refuse("both Content-Length and Transfer-Encoding");
    if (head.count("Transfer-Encoding") > 1 || !equalNames(*coding, "chunked"))
        return refuse("only the transfer coding \"chunked\" is understood");
    if (head.version != 11) return refuse("chunks in HTTP/1.0");
    return {};
}

Framing declaredFraming(const Head& head, Framing::Kind without)
{
    if (head.find("Transfer-Encoding")) return {Framing::Kind::Chunked};
    if (auto length = head.find("Content-Length")) {
        std::uint64_t bytes = numberIn<std::uint64_t>(*length).value_or(0);
        return {bytes ? Framing::Kind::Length : Framing::Kind::None, bytes};
    }
    return {without};
}

std::string withFields(std::string text, const Head& head)
{
    text.reserve(512);
    for (const Field& field : head.fields) {
        text += field.name;
        text += ": ";
        text += field.value;
        text += "\r\n";
    }
    return text += "\r\n";
}

std::string_view versionText(const Head& head)
{
    return head.version == 10 ? "HTTP/1.0" : "HTTP/1.1";
}

int hexDigit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string decoded(std::string_view text, bool plusIsBlank)
{
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        bool escape = text[i] == '%' && i + 2 < text.size() && hexDigit(text[i + 1]) >= 0 &&
                      hexDigit(text[i + 2]) >= 0;
        if (escape) {
            plain += static_cast<char>(hexDigit(text[i + 1]) * 16 + hexDigit(text[i + 2]));
            i += 2;
        } else {
            plain += plusIsBlank && text[i] == '+' ? ' ' : text[i];
        }
    }
    return plain;
}

}  // namespace

std::size_t Head::count(std::string_view name) const
{
    return static_cast<std::size_t>(
        std::count_if(fields.begin(), fields.end(),
                      [&](const Field& field) { return equalNames(field.name, name); }));
}

std::optional<std::string_view> Head::find(std::string_view name) const
{
    for (const Field& field : fields)
        if (equalNames(field.name, name)) return field.value;
    return std::nullopt;
}

bool Head::hasToken(std::string_view name, std::string_view token) const
{
    for (const Field& field : fields) {
        if (!equalNames(field.name, name)) continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            std::size_t comma = std::min(rest.find(','), rest.size());
            std::string_view item = rest.substr(0, comma);
            rest.remove_prefix(std::min(comma + 1, rest.size()));
            while (!item.empty() && (item.front() == ' ' || item.front() == '\t'))
                item.remove_prefix(1);
            while (!item.empty() && (item.back() == ' ' || item.back() == '\t'))
                item.remove_suffix(1);
            if (equalNames(item, token)) return true;
        }
    }
    return false;
}

void Head::remove(std::string_view name)
{
    std::erase_if(fields, [&](const Field& field) { return equalNames(field.name, name); });
}

void Head::set(std::string_view name, std::string value)
{
    auto same = [&](const Field& field) { return equalNames(field.name, name); };
    auto found = std::find_if(fields.begin(), fields.end(), same);
    if (found == fields.end())
        fields.push_back({std::string(name), std::move(value)});
    else
        found->value = std::move(value);
}

bool Head::keepsAlive() const
{
    return version == 11 ? !hasToken("Connection", "close") : hasToken("Connection", "keep-alive");
}

std::size_t headLength(std::string_view text, std::size_t from)
{
    // A bare line feed ends a line too: the parser then refuses it, instead of waiting for ever.
    std::size_t at = from < 3 ? 0 : from - 3;
    while ((at = text.find('\n', at)) != std::string_view::npos) {
        std::string_view next = text.substr(at + 1);
        if (next.starts_with("\r\n")) return at + 3;
        if (next.starts_with("\n")) return at + 2;
        ++at;
    }
    return 0;
}

Result<RequestHead> parseRequest(std::string_view text)
{
    TRY(auto head, parse<true, RequestHead>(text, "request"));
    TRY_VOID(checkFraming(head, "request"));
    std::size_t hosts = head.count("Host");
    if (hosts > 1 || (hosts == 0 && head.version == 11))
        return fail(Code::InvalidArgument, "malformed request: not exactly one Host");
    return head;
}

Result<ResponseHead> parseResponse(std::string_view text)
{
    TRY(auto head, parse<false, ResponseHead>(text, "answer"));
    TRY_VOID(checkFraming(head, "answer"));
    return head;
}

Framing framingOf(const RequestHead& head)
{
    return declaredFraming(head, Framing::Kind::None);
}

Framing framingOf(const ResponseHead& head, std::string_view requestMethod)
{
    bool bodiless = head.status < 200 || head.status == 204 || head.status == 304;
    if (bodiless || requestMethod == "HEAD") return {};
    return declaredFraming(head, Framing::Kind::UntilClose);
}

std::string toText(const RequestHead& head)
{
    return withFields(fmt::format("{} {} {}\r\n", head.method, head.target, versionText(head)),
                      head);
}

std::string toText(const ResponseHead& head)
{
    return withFields(fmt::format("{} {} {}\r\n", versionText(head), head.status, head.reason),
                      head);
}

std::string pathOf(std::string_view target)
{
    std::size_t scheme = target.find("://");
    if (!target.starts_with('/') && scheme != std::string_view::npos) {
        target.remove_prefix(scheme + 3);
        target.remove_prefix(std::min(target.find('/'), target.size()));
    }
    return decoded(target.substr(0, target.find_first_of("?#")), false);
}

std::optional<std::string> queryValue(std::string_view target, std::string_view key)
{
    std::size_t mark = target.find('?');
    if (mark == std::string_view::npos) return std::nullopt;
    std::string_view rest = target.substr(mark + 1);
    while (!rest.empty()) {
        std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        std::size_t equals = std::min(pair.find('='), pair.size());
        if (decoded(pair.substr(0, equals), true) == key)
            return decoded(pair.substr(std::min(equals + 1, pair.size())), true);
    }
    return std::nullopt;
}

}  // namespace slipway::http
