// Theory of operation. The oracle is a second reading of HTTP, written apart from the product's and
// as narrow as the grammar allows: it takes a request only if every byte of its framing is beyond
// doubt. The client's bytes are read by it, and so are those that arrive at the engine; what
// arrived must be the beginning of what was sent. The stand-in engine answers each whole request
// with an empty 200, so pipelines go on.
#include "tests/fuzz/smuggling.h"

#include <algorithm>
#include <charconv>
#include <cctype>
#include <optional>
#include <vector>

#include <QTemporaryDir>
#include <fmt/format.h>

#include "tests/support/wire.h"
#include "wsl-bridge/engine/http_proxy.h"
#include "wsl-bridge/engine/request_paths.h"

namespace slipway::test {
namespace {

struct Request {
    std::string line;
    std::vector<std::string>
        fields;  // "name: value", names in lower case, without framing; sorted.
    std::string body;
    std::size_t length = 0;  // Of all its bytes.
};

bool isToken(std::string_view text)
{
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

std::optional<std::uint64_t> number(std::string_view text, int base)
{
    std::uint64_t value = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    bool whole = !text.empty() && failed == std::errc{} && end == text.data() + text.size();
    return whole ? std::optional(value) : std::nullopt;
}

class Reader {
public:
    explicit Reader(std::string_view text) : m_text(text) {}

    // None if it is malformed, open to doubt, or not there to its last byte.
    std::optional<Request> next()
    {
        std::size_t begin = m_at;
        Request request;
        auto line = takeLine();
        if (!line || !isRequestLine(*line)) return std::nullopt;
        request.line = *line;
        std::optional<std::uint64_t> length;
        bool chunked = false;
        int hosts = 0;
        for (;;) {
            line = takeLine();
            if (!line) return std::nullopt;
            if (line->empty()) break;
            std::size_t colon = line->find(':');
            if (colon == line->npos || !isToken(line->substr(0, colon))) return std::nullopt;
            std::string name(line->substr(0, colon));
            std::transform(name.begin(), name.end(), name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            std::string_view value = trimmed(line->substr(colon + 1));
            if (name == "host") ++hosts;
            if (name == "content-length") {
                if (length) return std::nullopt;
                length = number(value, 10);
                if (!length) return std::nullopt;
            } else if (name == "transfer-encoding") {
                std::string coding(value);
                std::transform(coding.begin(), coding.end(), coding.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
                if (chunked || coding != "chunked") return std::nullopt;
                chunked = true;
            } else {
                request.fields.push_back(name + ": " + std::string(value));
            }
        }
        bool old = request.line.ends_with("1.0");
        if ((chunked && (length || old)) || hosts > 1 || (hosts == 0 && !old)) return std::nullopt;
        if (chunked ? !takeChunks(request.body) : !take(length.value_or(0), request.body))
            return std::nullopt;
        std::sort(request.fields.begin(), request.fields.end());
        request.length = m_at - begin;
        return request;
    }

private:
    static std::string_view trimmed(std::string_view text)
    {
        while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
            text.remove_prefix(1);
        while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
        return text;
    }

    static bool isRequestLine(std::string_view line)
    {
        std::size_t first = line.find(' ');
        std::size_t second = line.rfind(' ');
        if (first == line.npos || first == second) return false;
        std::string_view target = line.substr(first + 1, second - first - 1);
        std::string_view version = line.substr(second + 1);
        return isToken(line.substr(0, first)) && !target.empty() &&
               target.find(' ') == target.npos && (version == "HTTP/1.1" || version == "HTTP/1.0");
    }

    // Without its CRLF; none where another control character stands in it.
    std::optional<std::string_view> takeLine()
    {
        std::size_t end = m_text.find("\r\n", m_at);
        if (end == m_text.npos) return std::nullopt;
        std::string_view line = m_text.substr(m_at, end - m_at);
        bool plain = std::none_of(line.begin(), line.end(), [](unsigned char c) {
            return (c < 0x20 && c != '\t') || c == 0x7f;
        });
        if (!plain) return std::nullopt;
        m_at = end + 2;
        return line;
    }

    bool take(std::uint64_t length, std::string& to)
    {
        if (m_text.size() - m_at < length) return false;
        to += m_text.substr(m_at, static_cast<std::size_t>(length));
        m_at += static_cast<std::size_t>(length);
        return true;
    }

    bool takeChunks(std::string& to)
    {
        for (;;) {
            auto line = takeLine();
            if (!line) return false;
            auto size = number(line->substr(0, line->find_first_of("; \t")), 16);
            if (!size) return false;
            if (*size == 0) break;
            std::string end;
            if (!take(*size, to) || !take(2, end) || end != "\r\n") return false;
        }
        for (;;) {  // Trailers.
            auto line = takeLine();
            if (!line) return false;
            if (line->empty()) return true;
        }
    }

    std::string_view m_text;
    std::size_t m_at = 0;
};

std::vector<Request> requestsIn(std::string_view text)
{
    std::vector<Request> all;
    Reader reader(text);
    while (auto request = reader.next()) all.push_back(std::move(*request));
    return all;
}

bool same(const Request& sent, const Request& arrived)
{
    if (sent.line != arrived.line) return false;
    std::string_view line = sent.line;
    std::size_t blank = line.find(' ');
    auto target = line.substr(blank + 1, line.rfind(' ') - blank - 1);
    // A held request is rewritten: its body by the edit, and without what is done already.
    if (namesBinds(apiCallOf(line.substr(0, blank), target))) return true;
    return sent.fields == arrived.fields && sent.body == arrived.body;
}

}  // namespace

std::string smuggled(std::string_view sent)
{
    static QTemporaryDir dir;
    Loop loop;
    WireDialer dialer(loop);
    auto engine = std::make_shared<ProxyContext>(
        loop, ProxyOptions{.user = {65534, 65534, "nobody", "/"},  // Creates no folder that counts.
                           .endpointSockets = {"/none/docker.sock"},
                           .recordsDir = dir.filePath("records").toStdString()});
    engine->engine.set({.dial = engineBehind(dialer)});
    WirePair pair = wirePair();
    Wire client(std::move(pair.test));
    bool ended = false;
    HttpProxy proxy([&] { return engine; }, *adoptSocket(loop, std::move(pair.program)),
                    [&] { ended = true; });
    proxy.start();
    if (!client.send(sent)) return {};  // Longer than a socket's buffer.
    client.closeWrite();

    std::vector<Request> arrived;
    std::list<std::string> open;  // What each connection brought and is not whole yet.
    for (int quiet = 0; quiet < 20 && !ended; ++quiet) {
        uv_run(loop.uv(), UV_RUN_NOWAIT);
        client.poll();
        while (open.size() < dialer.wires.size()) open.emplace_back();
        auto pending = open.begin();
        for (Wire& wire : dialer.wires) {
            std::string bytes = wire.poll().take();
            if (!bytes.empty()) quiet = 0;
            *pending += bytes;
            while (auto request = Reader(*pending).next()) {
                pending->erase(0, request->length);
                arrived.push_back(std::move(*request));
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                quiet = 0;
            }
            ++pending;
        }
    }
    auto expected = requestsIn(sent);
    if (arrived.size() > expected.size())
        return fmt::format("{} requests arrived of {}", arrived.size(), expected.size());
    for (std::size_t i = 0; i < arrived.size(); ++i)
        if (!same(expected[i], arrived[i]))
            return fmt::format("request {} arrived as {} with {}", i, arrived[i].line,
                               arrived[i].body);
    // What is not whole is the beginning of a body that the client did not finish, or broke.
    for (const std::string& bytes : open) {
        std::size_t end = bytes.find("\r\n\r\n");
        if (bytes.empty()) continue;
        std::string line = bytes.substr(0, bytes.find("\r\n") + 2);
        if (end == bytes.npos || sent.find(line) == sent.npos)
            return fmt::format("this arrived: {}", bytes);
    }
    return {};
}

}  // namespace slipway::test
