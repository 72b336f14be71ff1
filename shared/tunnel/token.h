// The secret of one boot of the machine, and the proofs made with it.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "shared/core/error.h"

namespace slipway {

using Token = std::array<std::byte, 32>;

Token randomToken();
std::string toHex(const Token& token);
Result<Token> tokenFromHex(std::string_view text);

std::string randomBytes(std::size_t count);

// HMAC-SHA-256 (RFC 2104, FIPS 180-4), 32 bytes.
std::string hmac(const Token& token, std::string_view message);

// In a time that does not depend on where they differ.
bool equalProofs(std::string_view a, std::string_view b);

}  // namespace slipway
