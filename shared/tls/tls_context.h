// Whom a TLS connection trusts, and as whom it speaks.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <openssl/types.h>

#include "shared/core/error.h"

namespace slipway {

// PEM files; an empty path is none.
struct TlsFiles {
    std::filesystem::path authority;    // Whose certificates are trusted. None: the system's.
    std::filesystem::path certificate;  // One's own, followed by those that lead to its authority.
    std::filesystem::path key;
};

// The names that docker gives them (DOCKER_CERT_PATH): ca.pem, cert.pem, key.pem.
TlsFiles tlsFilesIn(const std::filesystem::path& folder);

// TLS 1.2 or 1.3. Copies share what was read.
class TlsContext {
public:
    // Verifies the server, by name too. Speaks as nobody if no certificate is named.
    static Result<TlsContext> client(const TlsFiles& files);
    // Lets in only whom `authority` has certified, which must be named as the others must.
    static Result<TlsContext> server(const TlsFiles& files);

    ssl_ctx_st* get() const { return m_context.get(); }
    bool serves() const { return m_serves; }

private:
    TlsContext(std::shared_ptr<ssl_ctx_st> context, bool serves);

    std::shared_ptr<ssl_ctx_st> m_context;
    bool m_serves;
};

// Whether a host is named by its address, as a certificate then has it: IPv4 or IPv6, numeric.
bool isAddress(const std::string& host);

// What OpenSSL has to say about the call that has just failed.
std::string tlsReason();

}  // namespace slipway
