// DNS messages (RFC 1035), as far as one must understand them to pass them on: the question, and
// answers of our own. Messages are bytes in a string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace slipway::dns {

enum class Type : std::uint16_t { A = 1, Ptr = 12, Aaaa = 28, Opt = 41 };
enum class Rcode : std::uint8_t {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4
};

inline constexpr std::uint16_t kPort = 53;
inline constexpr std::size_t kHeaderBytes = 12;

struct Question {
    std::string name;  // In lower case, without the last dot. Bytes of a label are as they came.
    std::uint16_t type = 0;  // A Type, or another one.
    bool internet = false;   // Its class is IN.
    std::size_t end = 0;     // Where it ends in the message.
};
// Nothing for what is not a query with one question.
std::optional<Question> questionOf(std::string_view query);

std::uint16_t idOf(std::string_view message);  // Of one that is no shorter than a header.
void setId(std::string& message, std::uint16_t id);

// How many bytes an answer by UDP may have: 512, or what the query offers (EDNS, RFC 6891).
std::size_t udpLimitOf(std::string_view query, const Question& question);

struct Record {
    Type type = Type::A;
    std::uint32_t ttlSeconds = 0;
    std::string data;
};
// To that query, all records being of the name that was asked for.
std::string answerTo(std::string_view query, const Question& question,
                     const std::vector<Record>& records);
// Without a question where the query's can't be read; `query` is no shorter than a header.
std::string failureOf(std::string_view query, Rcode code);
// What is left of an answer that is too long for UDP: the client asks again by TCP.
std::string truncated(std::string_view answer);

std::string addressData(std::string_view address);  // Of an A or AAAA record. Empty: it is none.
std::string nameData(std::string_view name);  // Of a PTR record. Labels beyond 63 bytes are cut.
// "10.1.2.3" of 3.2.1.10.in-addr.arpa, the same for ip6.arpa; nothing for other names.
std::optional<std::string> addressAskedFor(std::string_view name);

}  // namespace slipway::dns
