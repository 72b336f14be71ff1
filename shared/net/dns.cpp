// Places are those of RFC 1035, section 4.1: a header of six numbers of two bytes, then questions,
// then records.
#include "shared/net/dns.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

namespace slipway::dns {
namespace {

constexpr std::size_t kFlags = 2, kQuestions = 4, kAnswers = 6, kAuthorities = 8, kExtras = 10;
constexpr std::uint16_t kResponse = 0x8000, kOpcode = 0x7800, kTruncated = 0x0200,
                        kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080;
constexpr std::uint16_t kInternet = 1;
constexpr std::size_t kMaxLabel = 63, kMaxName = 255, kMinUdp = 512;
constexpr std::string_view kNameOfQuestion("\xc0\x0c", 2);  // A pointer to it.

std::uint16_t number(std::string_view message, std::size_t at)
{
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(message[at + i]); };
    return static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
}

void put(std::string& message, std::size_t at, unsigned value)
{
    message[at] = static_cast<char>(value >> 8);
    message[at + 1] = static_cast<char>(value & 0xff);
}

void append(std::string& message, unsigned value)
{
    message.append(2, '\0');
    put(message, message.size() - 2, value);
}

char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// An answer's beginning: the header and the question, if it is known where that ends.
std::string beginAnswer(std::string_view query, std::size_t questionEnd, Rcode code,
                        std::size_t answers)
{
    std::string answer(query.substr(0, questionEnd ? questionEnd : kHeaderBytes));
    unsigned asked = number(query, kFlags) & (kOpcode | kRecursionDesired);
    put(answer, kFlags, kResponse | asked | kRecursionAvailable | static_cast<unsigned>(code));
    put(answer, kQuestions, questionEnd ? 1 : 0);
    put(answer, kAnswers, static_cast<unsigned>(answers));
    put(answer, kAuthorities, 0);
    put(answer, kExtras, 0);
    return answer;
}

std::optional<std::string> ipv4AskedFor(std::string_view reversed)
{
    std::string text;
    while (!reversed.empty()) {
        auto dot = reversed.rfind('.');
        auto part = dot == std::string_view::npos ? reversed : reversed.substr(dot + 1);
        text.append(text.empty() ? "" : ".").append(part);
        reversed = dot == std::string_view::npos ? "" : reversed.substr(0, dot);
    }
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return std::nullopt;
    return text;
}

std::optional<std::string> ipv6AskedFor(std::string_view reversed)
{
    constexpr std::size_t kNibbles = 32;
    if (reversed.size() != 2 * kNibbles - 1) return std::nullopt;
    std::string text;
    for (std::size_t i = 0; i < kNibbles; ++i) {
        if (i && i % 4 == 0) text += ':';
        text += reversed[2 * (kNibbles - 1 - i)];
        if (i + 1 < kNibbles && reversed[2 * i + 1] != '.') return std::nullopt;
    }
    in6_addr address{};
    std::array<char, INET6_ADDRSTRLEN> canonical{};
    if (::inet_pton(AF_INET6, text.c_str(), &address) != 1 ||
        !::inet_ntop(AF_INET6, &address, canonical.data(), canonical.size()))
        return std::nullopt;
    return canonical.data();
}

}  // namespace

std::optional<Question> questionOf(std::string_view query)
{
    if (query.size() < kHeaderBytes || (number(query, kFlags) & (kResponse | kOpcode)) ||
        number(query, kQuestions) != 1)
        return std::nullopt;
    Question question;
    std::size_t at = kHeaderBytes;
    while (true) {
        if (at >= query.size()) return std::nullopt;
        std::size_t length = static_cast<unsigned char>(query[at++]);
        if (length == 0) break;
        if (length > kMaxLabel || at + length > query.size() ||
            question.name.size() + length + 1 > kMaxName)
            return std::nullopt;
        if (!question.name.empty()) question.name += '.';
        auto label = query.substr(at, length);
        std::transform(label.begin(), label.end(), std::back_inserter(question.name), lower);
        at += length;
    }
    if (at + 4 > query.size()) return std::nullopt;
    question.type = number(query, at);
    question.internet = number(query, at + 2) == kInternet;
    question.end = at + 4;
    return question;
}

std::uint16_t idOf(std::string_view message)
{
    return number(message, 0);
}

void setId(std::string& message, std::uint16_t id)
{
    put(message, 0, id);
}

// A query holds no records but those at its end, of which OPT is the first in practice. Its name is
// the root's, one byte.
std::size_t udpLimitOf(std::string_view query, const Question& question)
{
    bool onlyExtras = number(query, kAnswers) == 0 && number(query, kAuthorities) == 0 &&
                      number(query, kExtras) > 0;
    std::size_t at = question.end;
    if (!onlyExtras || at + 5 > query.size() || query[at] != '\0' ||
        number(query, at + 1) != static_cast<unsigned>(Type::Opt))
        return kMinUdp;
    return std::max<std::size_t>(number(query, at + 3), kMinUdp);
}

std::string answerTo(std::string_view query, const Question& question,
                     const std::vector<Record>& records)
{
    auto answer = beginAnswer(query, question.end, Rcode::NoError, records.size());
    for (const Record& record : records) {
        answer += kNameOfQuestion;
        append(answer, static_cast<unsigned>(record.type));
        append(answer, kInternet);
        append(answer, record.ttlSeconds >> 16);
        append(answer, record.ttlSeconds & 0xffff);
        append(answer, static_cast<unsigned>(record.data.size()));
        answer += record.data;
    }
    return answer;
}

std::string failureOf(std::string_view query, Rcode code)
{
    auto question = questionOf(query);
    return beginAnswer(query, question ? question->end : 0, code, 0);
}

std::string truncated(std::string_view answer)
{
    // An answer is read as the query that it repeats.
    std::string asQuery(answer);
    put(asQuery, kFlags, number(answer, kFlags) & ~(kResponse | kOpcode));
    auto question = questionOf(asQuery);
    std::string left(answer.substr(0, question ? question->end : kHeaderBytes));
    put(left, kFlags, number(answer, kFlags) | kTruncated);
    put(left, kQuestions, question ? 1 : 0);
    for (std::size_t count : {kAnswers, kAuthorities, kExtras}) put(left, count, 0);
    return left;
}

std::string addressData(std::string_view address)
{
    std::array<char, sizeof(in6_addr)> bytes{};
    std::string text(address);
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1)
        return {bytes.data(), sizeof(in_addr)};
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes.data(), bytes.size()};
    return {};
}

std::string nameData(std::string_view name)
{
    std::string data;
    while (!name.empty()) {
        auto label = name.substr(0, name.find('.'));
        name.remove_prefix(std::min(label.size() + 1, name.size()));
        label = label.substr(0, kMaxLabel);
        if (label.empty()) continue;
        data += static_cast<char>(label.size());
        data += label;
    }
    return data + '\0';
}

std::optional<std::string> addressAskedFor(std::string_view name)
{
    constexpr std::string_view kIpv4 = ".in-addr.arpa", kIpv6 = ".ip6.arpa";
    if (name.ends_with(kIpv4)) return ipv4AskedFor(name.substr(0, name.size() - kIpv4.size()));
    if (name.ends_with(kIpv6)) return ipv6AskedFor(name.substr(0, name.size() - kIpv6.size()));
    return std::nullopt;
}

}  // namespace slipway::dns
