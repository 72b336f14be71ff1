// DNS messages for tests, made by hand from RFC 1035.
#pragma once

#include <cstdint>
#include <string>

namespace slipway::test {

inline std::string twoBytes(unsigned value)
{
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

// "a.example" as labels.
inline std::string labelsOf(const std::string& name)
{
    std::string labels;
    for (std::size_t begin = 0; begin < name.size();) {
        auto end = std::min(name.find('.', begin), name.size());
        labels += static_cast<char>(end - begin);
        labels += name.substr(begin, end - begin);
        begin = end + 1;
    }
    return labels + '\0';
}

// A query for recursion; with `udpBytes` an OPT record (RFC 6891) offers so much.
inline std::string queryFor(const std::string& name, unsigned type, unsigned id = 0x1234,
                            unsigned udpBytes = 0)
{
    std::string query = twoBytes(id) + twoBytes(0x0100) + twoBytes(1) + twoBytes(0) + twoBytes(0) +
                        twoBytes(udpBytes ? 1 : 0) + labelsOf(name) + twoBytes(type) + twoBytes(1);
    if (udpBytes)
        query += std::string(1, '\0') + twoBytes(41) + twoBytes(udpBytes) + std::string(6, '\0');
    return query;
}

inline unsigned numberAt(const std::string& message, std::size_t at)
{
    return static_cast<unsigned char>(message.at(at)) << 8 |
           static_cast<unsigned char>(message.at(at + 1));
}
inline unsigned idOf(const std::string& message)
{
    return numberAt(message, 0);
}
inline unsigned rcodeOf(const std::string& message)
{
    return numberAt(message, 2) & 0xf;
}
inline unsigned answersOf(const std::string& message)
{
    return numberAt(message, 6);
}
inline bool isTruncated(const std::string& message)
{
    return numberAt(message, 2) & 0x0200;
}

}  // namespace slipway::test
