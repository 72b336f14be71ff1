#include "shared/tunnel/token.h"

#include <cstring>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

namespace slipway {

std::string randomBytes(std::size_t count)
{
    std::string bytes(count, '\0');
    CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
    return bytes;
}

Token randomToken()
{
    Token token;
    std::memcpy(token.data(), randomBytes(token.size()).data(), token.size());
    return token;
}

std::string toHex(const Token& token)
{
    std::string text;
    for (std::byte b : token) text += fmt::format("{:02x}", std::to_integer<int>(b));
    return text;
}

Result<Token> tokenFromHex(std::string_view text)
{
    auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    Token token;
    if (text.size() != token.size() * 2)
        return fail(Code::InvalidArgument, fmt::format("a token has {} hex digits, not {}",
                                                       token.size() * 2, text.size()));
    for (std::size_t i = 0; i < token.size(); ++i) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return fail(Code::InvalidArgument, "a token is lower-case hex");
        token[i] = static_cast<std::byte>(high << 4 | low);
    }
    return token;
}

std::string hmac(const Token& token, std::string_view message)
{
    std::string proof(EVP_MAX_MD_SIZE, '\0');
    unsigned length = 0;
    CHECK(HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
               reinterpret_cast<const unsigned char*>(message.data()), message.size(),
               reinterpret_cast<unsigned char*>(proof.data()), &length));
    proof.resize(length);
    return proof;
}

bool equalProofs(std::string_view a, std::string_view b)
{
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace slipway
