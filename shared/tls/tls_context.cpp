#include "shared/tls/tls_context.h"

#include <cstring>

#include <arpa/inet.h>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace slipway {
namespace {

Result<std::shared_ptr<ssl_ctx_st>> newContext(const SSL_METHOD* method)
{
    std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
    if (!context) return fail(Code::Internal, "start TLS: " + tlsReason());
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    // A renegotiation would make a write wait for a read.
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // An idle connection holds none.
    return context;
}

tl::unexpected<Error> failFile(std::string_view what, const std::filesystem::path& file)
{
    return fail(Code::InvalidArgument,
                fmt::format("read the {} {}: {}", what, file.string(), tlsReason()));
}

Result<> use(ssl_ctx_st* context, const TlsFiles& files)
{
    ERR_clear_error();
    if (!files.authority.empty() &&
        SSL_CTX_load_verify_locations(context, files.authority.c_str(), nullptr) != 1)
        return failFile("authority's certificate", files.authority);
    if (!files.certificate.empty() &&
        SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
        return failFile("certificate", files.certificate);
    if (!files.key.empty() &&
        SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return failFile("key", files.key);
    return {};
}

}  // namespace

TlsFiles tlsFilesIn(const std::filesystem::path& folder)
{
    return {folder / "ca.pem", folder / "cert.pem", folder / "key.pem"};
}

TlsContext::TlsContext(std::shared_ptr<ssl_ctx_st> context, bool serves)
    : m_context(std::move(context)), m_serves(serves)
{
}

Result<TlsContext> TlsContext::client(const TlsFiles& files)
{
    TRY(auto context, newContext(TLS_client_method()));
    TRY_VOID(use(context.get(), files));
    if (files.authority.empty()) SSL_CTX_set_default_verify_paths(context.get());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    return TlsContext(std::move(context), false);
}

Result<TlsContext> TlsContext::server(const TlsFiles& files)
{
    CHECK(!files.authority.empty() && !files.certificate.empty() && !files.key.empty());
    TRY(auto context, newContext(TLS_server_method()));
    TRY_VOID(use(context.get(), files));
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // Who comes back proves itself anew.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 0);
    return TlsContext(std::move(context), true);
}

bool isAddress(const std::string& host)
{
    in6_addr ignored;
    return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
           inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

std::string tlsReason()
{
    unsigned long error = ERR_get_error();
    ERR_clear_error();
    const char* reason = error ? ERR_reason_error_string(error) : nullptr;
    if (error && ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
    return reason ? reason : "no reason given";
}

}  // namespace slipway
