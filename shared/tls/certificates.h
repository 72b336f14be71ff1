// Certificates of an authority of one's own.
#pragma once

#include <string>
#include <vector>

#include "shared/core/error.h"
#include "shared/tls/tls_context.h"

namespace slipway {

struct PemPair {
    std::string certificate;
    std::string key;  // Not encrypted.
};

// One that certifies others. EC keys (P-256), valid for ten years, as are those it issues.
Result<PemPair> makeAuthority(const std::string& name);

enum class TlsRole { Client, Server };
// `hosts` are the names and addresses by which a server is reached.
Result<PemPair> issueCertificate(const PemPair& authority, const std::string& name, TlsRole role,
                                 const std::vector<std::string>& hosts = {});

// A folder for certificates, its owner's alone.
Result<> makeCertificateFolder(const std::filesystem::path& folder);
// Such a folder with what one end needs, as tlsFilesIn() names it.
Result<TlsFiles> writeCertificates(const std::filesystem::path& folder, const PemPair& own,
                                   const PemPair& authority);

}  // namespace slipway
