#include "wsl-bridge/engine/endpoint_certificates.h"

#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/replace_file.h"
#include "shared/tls/certificates.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

Result<> makeFolder(const fs::path& folder)
{
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (!failed) fs::permissions(folder, fs::perms::owner_all, failed);
    if (failed) return failErrno(fmt::format("make {}", folder.string()), failed.value());
    return giveToFolderOwner(folder);
}

std::string contentOf(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

// The folder is nobody else's already.
Result<> writeKey(const fs::path& file, const std::string& key)
{
    TRY_VOID(replaceFile(file, key));
    std::error_code failed;
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write, failed);
    if (failed) return failErrno(fmt::format("write {}", file.string()), failed.value());
    return {};
}

Result<> writePair(const TlsFiles& files, const PemPair& authority, const PemPair& own)
{
    TRY_VOID(makeFolder(files.certificate.parent_path()));
    TRY_VOID(writeKey(files.key, own.key));
    TRY_VOID(replaceFile(files.certificate, own.certificate));
    return replaceFile(files.authority, authority.certificate);
}

Result<PemPair> authorityIn(const fs::path& folder)
{
    const fs::path certificate = folder / "ca.pem";
    const fs::path key = folder / "ca-key.pem";
    if (fs::exists(certificate) && fs::exists(key))
        return PemPair{contentOf(certificate), contentOf(key)};
    TRY(auto made, makeAuthority("Slipway on this host"));
    TRY_VOID(writeKey(key, made.key));
    TRY_VOID(replaceFile(certificate, made.certificate));
    return made;
}

}  // namespace

Result<TlsFiles> serverCertificates(const fs::path& folder, const std::vector<std::string>& hosts)
{
    TRY_VOID(makeFolder(folder));
    TRY(auto authority, authorityIn(folder));
    TlsFiles client = tlsFilesIn(folder / "client");
    if (contentOf(client.authority) != authority.certificate) {
        TRY(auto pair, issueCertificate(authority, "a client of Slipway", TlsRole::Client));
        TRY_VOID(writePair(client, authority, pair));
    }
    TlsFiles server = tlsFilesIn(folder / "server");
    TRY(auto pair, issueCertificate(authority, "Slipway's endpoint", TlsRole::Server, hosts));
    TRY_VOID(writePair(server, authority, pair));
    return server;
}

}  // namespace slipway
