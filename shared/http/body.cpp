#include "shared/http/body.h"

#include <algorithm>

namespace slipway::http {
namespace {

constexpr std::size_t kMaxDigits = 15;  // 60 bits: more can't be meant, and can't overflow.

int hexValue(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

tl::unexpected<Error> malformed(const char* what)
{
    return fail(Code::InvalidArgument, std::string("malformed chunked body: ") + what);
}

}  // namespace

BodyScanner::BodyScanner(Framing framing) : m_state(State::Done), m_left(framing.length)
{
    switch (framing.kind) {
        case Framing::Kind::None:
            m_state = State::Done;
            break;
        case Framing::Kind::Length:
            m_state = m_left ? State::Length : State::Done;
            break;
        case Framing::Kind::Chunked:
            m_state = State::Size;
            break;
        case Framing::Kind::UntilClose:
            m_state = State::UntilClose;
            break;
    }
}

Result<std::size_t> BodyScanner::scan(std::string_view bytes, std::string* content)
{
    std::size_t at = 0;
    while (at < bytes.size() && m_state != State::Done) {
        if (m_state == State::UntilClose) {
            if (content) *content += bytes;
            return bytes.size();
        }
        if (m_state == State::Length || m_state == State::Data) {
            std::string_view taken = bytes.substr(
                at, static_cast<std::size_t>(std::min<std::uint64_t>(m_left, bytes.size() - at)));
            if (content) *content += taken;
            at += taken.size();
            m_left -= taken.size();
            if (m_left == 0) m_state = m_state == State::Length ? State::Done : State::DataEnd;
            continue;
        }
        TRY_VOID(step(bytes[at++]));
    }
    return at;
}

Result<> BodyScanner::step(char c)
{
    switch (m_state) {
        case State::Size:
            if (int value = hexValue(c); value >= 0) {
                if (++m_digits > kMaxDigits) return malformed("chunk size too large");
                m_left = m_left * 16 + static_cast<std::uint64_t>(value);
                return {};
            }
            if (m_digits == 0) return malformed("no chunk size");
            m_extraBytes = 0;
            if (c == ';' || c == ' ' || c == '\t') return m_state = State::Extension, Result<>{};
            if (c == '\r') return m_state = State::SizeEnd, Result<>{};
            return malformed("bad chunk size");
        case State::Extension:
            if (c == '\n') return malformed("bare line feed");
            if (++m_extraBytes > kMaxHeadBytes) return malformed("chunk extension too long");
            if (c == '\r') m_state = State::SizeEnd;
            return {};
        case State::SizeEnd:
            if (c != '\n') return malformed("bad line ending");
            m_digits = 0;
            m_extraBytes = 0;
            m_state = m_left ? State::Data : State::TrailerStart;
            return {};
        case State::DataEnd:
            if (c != '\r') return malformed("chunk longer than its size");
            m_state = State::DataEnd2;
            return {};
        case State::DataEnd2:
            if (c != '\n') return malformed("bad line ending");
            m_state = State::Size;
            return {};
        case State::TrailerStart:
            m_state = c == '\r' ? State::LastEnd : State::Trailer;
            return c == '\n' ? malformed("bare line feed") : Result<>{};
        case State::Trailer:
            if (c == '\n') return malformed("bare line feed");
            if (++m_extraBytes > kMaxHeadBytes) return malformed("trailers too long");
            if (c == '\r') m_state = State::TrailerLineEnd;
            return {};
        case State::TrailerLineEnd:
            if (c != '\n') return malformed("bad line ending");
            m_state = State::TrailerStart;
            return {};
        case State::LastEnd:
            if (c != '\n') return malformed("bad line ending");
            m_state = State::Done;
            return {};
        case State::Done:
        case State::UntilClose:
        case State::Length:
        case State::Data:
            break;
    }
    CHECK(false);
}

std::string withoutChunks(std::string_view body)
{
    std::string content;
    CHECK(BodyScanner({Framing::Kind::Chunked}).scan(body, &content));
    return content;
}

}  // namespace slipway::http
