#include "wsl-bridge/engine/endpoint_certificates.h"

#include "shared/core/small_file.h"
#include "shared/tls/certificates.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<PemPair> authorityIn(const fs::path& folder)
{
    const fs::path certificate = folder / "ca.pem";
    const fs::path key = folder / "ca-key.pem";
    auto knownCertificate = readFile(certificate);
    auto knownKey = readFile(key);
    if (knownCertificate && knownKey) return PemPair{*knownCertificate, *knownKey};
    TRY(auto made, makeAuthority("Slipway on this host"));
    TRY_VOID(replacePrivateFile(key, made.key));
    TRY_VOID(replaceFile(certificate, made.certificate));
    return made;
}

}  // namespace

Result<TlsFiles> serverCertificates(const fs::path& folder, const std::vector<std::string>& hosts)
{
    TRY_VOID(makeCertificateFolder(folder));
    TRY(auto authority, authorityIn(folder));
    fs::path client = folder / "client";
    if (readFile(tlsFilesIn(client).authority) != authority.certificate) {
        TRY(auto pair, issueCertificate(authority, "a client of Slipway", TlsRole::Client));
        TRY_VOID(writeCertificates(client, pair, authority));
    }
    TRY(auto pair, issueCertificate(authority, "Slipway's endpoint", TlsRole::Server, hosts));
    return writeCertificates(folder / "server", pair, authority);
}

}  // namespace slipway
