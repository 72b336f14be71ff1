#include "shared/paths/docker_context.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "shared/paths/file_access_as.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

std::string sha256Hex(std::string_view text)
{
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
    ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
    std::string hex;
    for (unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
    return hex;
}

std::string jsonString(std::string_view text)
{
    std::string quoted = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\')
            quoted += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20)
            quoted += fmt::format("\\u{:04x}", c);
        else
            quoted += c;
    }
    return quoted + '"';
}

std::string hostField(std::string_view endpoint)
{
    return "\"Host\":" + jsonString(endpoint);
}

std::string metaJson(std::string_view name, std::string_view endpoint)
{
    return fmt::format(
        R"({{"Name":{},"Metadata":{{"Description":"Slipway's engine"}},)"
        R"("Endpoints":{{"docker":{{{},"SkipTLSVerify":false}}}}}})",
        jsonString(name), hostField(endpoint));
}

fs::path metaFile(const User& user, std::string_view name)
{
    return dockerConfigDir(user) / "contexts" / "meta" / sha256Hex(name) / "meta.json";
}

std::optional<std::string> contentOf(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

tl::unexpected<Error> failOn(const fs::path& path, const std::error_code& failed)
{
    return failErrno(fmt::format("write docker context {}", path.string()), failed.value());
}

// A docker command that reads it meanwhile sees the old file or the new one, never half of one.
Result<> replace(const fs::path& file, std::string_view content)
{
    fs::path fresh = file;
    fresh += ".new";
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << content;
    out.close();
    if (!out) return failErrno(fmt::format("write docker context {}", fresh.string()), errno);
    std::error_code failed;
    fs::rename(fresh, file, failed);
    if (failed) return failOn(file, failed);
    return {};
}

}  // namespace

fs::path dockerConfigDir(const User& user)
{
    const char* set = std::getenv("DOCKER_CONFIG");
    return set && *set ? fs::path(set) : user.home / ".docker";
}

Result<> makeContext(const User& user, std::string_view name, std::string_view endpoint)
{
    FileAccessAs asUser(user);
    fs::path file = metaFile(user, name);
    auto there = contentOf(file);
    if (there && there->find(hostField(endpoint)) != std::string::npos) return {};
    std::error_code failed;
    fs::create_directories(file.parent_path(), failed);
    if (failed) return failOn(file.parent_path(), failed);
    return replace(file, metaJson(name, endpoint));
}

Result<> removeContext(const User& user, std::string_view name, std::string_view endpoint)
{
    FileAccessAs asUser(user);
    fs::path file = metaFile(user, name);
    auto there = contentOf(file);
    if (!there || there->find(hostField(endpoint)) == std::string::npos) return {};
    std::error_code failed;
    fs::remove_all(file.parent_path(), failed);
    if (failed)
        return failErrno(fmt::format("remove docker context {}", file.string()), failed.value());
    return {};
}

}  // namespace slipway
