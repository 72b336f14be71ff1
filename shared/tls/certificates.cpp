#include "shared/tls/certificates.h"

#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "shared/core/folder_owner.h"
#include "shared/core/small_file.h"

namespace slipway {
namespace {

constexpr long kSecondsBack = 3600;  // For clocks that differ.
constexpr long kDays = 3650;
constexpr int kSerialBits = 127;  // Unique, positive and at most 20 octets: RFC 5280, 4.1.2.2.

template <auto Free>
struct FreeWith {
    template <class T>
    void operator()(T* thing) const
    {
        Free(thing);
    }
};
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Number = std::unique_ptr<BIGNUM, FreeWith<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreeWith<X509_EXTENSION_free>>;

struct Signed {
    Certificate certificate;
    Key key;
};

tl::unexpected<Error> failTls(const std::string& what)
{
    return fail(Code::Internal, fmt::format("{}: {}", what, tlsReason()));
}

bool addExtension(X509* certificate, X509* issuer, int kind, const std::string& value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool setSerial(X509* certificate)
{
    Number number(BN_new());
    return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

// Everything but the extensions and the signature.
Signed begin(const std::string& name)
{
    Signed made{Certificate(X509_new()), Key(EVP_EC_gen("P-256"))};
    X509* certificate = made.certificate.get();
    if (!certificate || !made.key || !setSerial(certificate)) return {};
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -kSecondsBack);
    X509_time_adj_ex(X509_getm_notAfter(certificate), kDays, 0, nullptr);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
    X509_set_pubkey(certificate, made.key.get());
    return made;
}

bool sign(Signed& made, X509* issuer, EVP_PKEY* key)
{
    X509_set_issuer_name(made.certificate.get(), X509_get_subject_name(issuer));
    return X509_sign(made.certificate.get(), key, EVP_sha256()) > 0;
}

std::string contentOf(BIO* bio)
{
    char* data = nullptr;
    long size = BIO_get_mem_data(bio, &data);
    return std::string(data, static_cast<std::size_t>(size));
}

Result<PemPair> toPem(const Signed& made)
{
    Bio certificate(BIO_new(BIO_s_mem()));
    Bio key(BIO_new(BIO_s_mem()));
    if (PEM_write_bio_X509(certificate.get(), made.certificate.get()) != 1 ||
        PEM_write_bio_PrivateKey(key.get(), made.key.get(), nullptr, nullptr, 0, nullptr,
                                 nullptr) != 1)
        return failTls("write a certificate");
    return PemPair{contentOf(certificate.get()), contentOf(key.get())};
}

Bio reading(const std::string& text)
{
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string alternativeNames(const std::vector<std::string>& hosts)
{
    std::string names;
    for (const std::string& host : hosts) {
        names +=
            fmt::format("{}{}:{}", names.empty() ? "" : ",", isAddress(host) ? "IP" : "DNS", host);
    }
    return names;
}

}  // namespace

Result<PemPair> makeAuthority(const std::string& name)
{
    Signed made = begin(name);
    X509* own = made.certificate.get();
    bool good = own &&
                addExtension(own, own, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                addExtension(own, own, NID_key_usage, "critical,keyCertSign") &&
                addExtension(own, own, NID_subject_key_identifier, "hash") &&
                sign(made, own, made.key.get());
    if (!good) return failTls("make an authority");
    return toPem(made);
}

Result<PemPair> issueCertificate(const PemPair& authority, const std::string& name, TlsRole role,
                                 const std::vector<std::string>& hosts)
{
    Certificate issuer(
        PEM_read_bio_X509(reading(authority.certificate).get(), nullptr, nullptr, nullptr));
    Key key(PEM_read_bio_PrivateKey(reading(authority.key).get(), nullptr, nullptr, nullptr));
    if (!issuer || !key) return failTls("read the authority");
    Signed made = begin(name);
    X509* own = made.certificate.get();
    bool good = own &&
                addExtension(own, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                addExtension(own, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
                addExtension(own, issuer.get(), NID_ext_key_usage,
                             role == TlsRole::Server ? "serverAuth" : "clientAuth") &&
                addExtension(own, issuer.get(), NID_authority_key_identifier, "keyid") &&
                (hosts.empty() ||
                 addExtension(own, issuer.get(), NID_subject_alt_name, alternativeNames(hosts))) &&
                sign(made, issuer.get(), key.get());
    if (!good) return failTls(fmt::format("issue a certificate to {}", name));
    return toPem(made);
}

Result<> makeCertificateFolder(const std::filesystem::path& folder)
{
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (!failed) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
    if (failed) return failErrno(fmt::format("make {}", folder.string()), failed.value());
    return giveToFolderOwner(folder);
}

Result<TlsFiles> writeCertificates(const std::filesystem::path& folder, const PemPair& own,
                                   const PemPair& authority)
{
    TlsFiles files = tlsFilesIn(folder);
    TRY_VOID(makeCertificateFolder(folder));
    TRY_VOID(replacePrivateFile(files.key, own.key));
    TRY_VOID(replaceFile(files.certificate, own.certificate));
    TRY_VOID(replaceFile(files.authority, authority.certificate));
    return files;
}

}  // namespace slipway
