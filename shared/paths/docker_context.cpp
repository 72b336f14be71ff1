#include "shared/paths/docker_context.h"

#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "shared/core/small_file.h"
#include "shared/json/json.h"
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

// The member order is the docker CLI's own.
std::string metaJson(std::string_view name, std::string_view endpoint)
{
    boost::json::object docker{{"Host", endpoint}, {"SkipTLSVerify", false}};
    return boost::json::serialize(boost::json::object{
        {"Name", name},
        {"Metadata", boost::json::object{{"Description", "Slipway's engine"}}},
        {"Endpoints", boost::json::object{{"docker", std::move(docker)}}},
    });
}

fs::path metaFile(const User& user, std::string_view name)
{
    return dockerConfigDir(user) / "contexts" / "meta" / sha256Hex(name) / "meta.json";
}

// Empty where the file is absent, is no JSON or has no text there: docker itself ignores such a
// file.
std::string textIn(const fs::path& file, const char* pointer)
{
    auto parsed = parseJson(readFile(file).value_or(""), file.string());
    boost::system::error_code absent;
    const auto* value = parsed ? parsed->find_pointer(pointer, absent) : nullptr;
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool leadsTo(const fs::path& meta, std::string_view endpoint)
{
    return textIn(meta, "/Endpoints/docker/Host") == endpoint;
}

tl::unexpected<Error> failOn(const fs::path& path, const std::error_code& failed)
{
    return failErrno(fmt::format("write docker context {}", path.string()), failed.value());
}

// The folders above the contexts, which makeContext() has made if docker had not. One that
// DOCKER_CONFIG names is whoever's set it.
void removeEmptyFolders(const User& user, const fs::path& meta)
{
    std::error_code failed;
    for (fs::path folder = meta; folder != user.home; folder = folder.parent_path()) {
        bool named = folder == dockerConfigDir(user) && folder != user.home / ".docker";
        if (named || fs::is_symlink(folder, failed)) return;
        fs::remove(folder, failed);
        if (failed) return;  // Not empty.
    }
}

}  // namespace

fs::path dockerConfigDir(const User& user)
{
    const char* set = std::getenv("DOCKER_CONFIG");
    return set && *set ? fs::path(set) : user.home / ".docker";
}

std::string currentContext(const User& user)
{
    const char* set = std::getenv("DOCKER_CONTEXT");
    if (set && *set) return set;
    std::string chosen = textIn(dockerConfigDir(user) / "config.json", "/currentContext");
    return chosen.empty() ? "default" : chosen;
}

Result<> makeContext(const User& user, std::string_view name, std::string_view endpoint)
{
    FileAccessAs asUser(user);
    fs::path file = metaFile(user, name);
    if (leadsTo(file, endpoint)) return {};
    std::error_code failed;
    fs::create_directories(file.parent_path(), failed);
    if (failed) return failOn(file.parent_path(), failed);
    return replaceFile(file, metaJson(name, endpoint));
}

Result<> removeContext(const User& user, std::string_view name, std::string_view endpoint)
{
    FileAccessAs asUser(user);
    fs::path file = metaFile(user, name);
    std::error_code failed;
    if (leadsTo(file, endpoint)) fs::remove_all(file.parent_path(), failed);
    if (failed)
        return failErrno(fmt::format("remove docker context {}", file.string()), failed.value());
    removeEmptyFolders(user, file.parent_path().parent_path());
    return {};
}

}  // namespace slipway
