#include "wsl-bridge/engine/json_string.h"

#include <charconv>

#include <fmt/format.h>

namespace slipway {
namespace {

void appendUtf8(std::string& text, unsigned code)
{
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else if (code < 0x800) {
        text += static_cast<char>(0xc0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        text += static_cast<char>(0xe0 | code >> 12);
        text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
    } else {
        text += static_cast<char>(0xf0 | code >> 18);
        text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
        text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
    }
}

unsigned hex4(std::string_view digits)
{
    unsigned value = 0;
    std::from_chars(digits.data(), digits.data() + 4, value, 16);
    return value;
}

// `at` stands on the first digit of \uXXXX, and on the last one used afterwards. A surrogate
// without its other half becomes U+FFFD, as in Go.
unsigned unescapeUnicode(std::string_view text, std::size_t& at)
{
    unsigned code = hex4(text.substr(at));
    at += 3;
    if (code < 0xd800 || code > 0xdfff) return code;
    std::string_view next = text.substr(at + 1);
    if (code < 0xdc00 && next.starts_with("\\u")) {
        unsigned low = hex4(next.substr(2));
        if (low >= 0xdc00 && low <= 0xdfff) {
            at += 6;
            return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

// The length of the UTF-8 sequence that `text` begins with (Unicode, table 3-7); 0 if it is none.
std::size_t utf8Length(std::string_view text)
{
    auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    unsigned first = byte(0);
    if (first < 0x80) return 1;
    std::size_t length = first < 0xc2   ? 0
                         : first < 0xe0 ? 2
                         : first < 0xf0 ? 3
                         : first < 0xf5 ? 4
                                        : 0;
    unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (length == 0 || byte(1) < low || byte(1) > high) return 0;
    for (std::size_t i = 2; i < length; ++i)
        if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
    return length;
}

}  // namespace

std::string decodedJsonString(std::string_view text)
{
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::size_t length = utf8Length(text.substr(at));
        if (length == 0) {
            appendUtf8(plain, 0xfffd);
            continue;
        }
        if (length > 1) {
            plain += text.substr(at, length);
            at += length - 1;
            continue;
        }
        if (text[at] != '\\') {
            plain += text[at];
            continue;
        }
        switch (text[++at]) {
            case 'b':
                plain += '\b';
                break;
            case 'f':
                plain += '\f';
                break;
            case 'n':
                plain += '\n';
                break;
            case 'r':
                plain += '\r';
                break;
            case 't':
                plain += '\t';
                break;
            case 'u':
                appendUtf8(plain, unescapeUnicode(text, ++at));
                break;
            default:
                plain += text[at];
        }
    }
    return plain;
}

std::string toJsonString(std::string_view text)
{
    std::string json = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\')
            (json += '\\') += c;
        else if (static_cast<unsigned char>(c) < 0x20)
            json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            json += c;
    }
    return json += '"';
}

}  // namespace slipway
