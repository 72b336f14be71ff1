#include "shared/core/small_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"

namespace slipway {
namespace {

using std::filesystem::perms;

// `mode` of perms::unknown: as files are made by default.
Result<> replace(const std::filesystem::path& file, std::string_view content, perms mode)
{
    std::filesystem::path fresh = file;
    fresh += ".new";
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    std::error_code failed;
    if (mode != perms::unknown) std::filesystem::permissions(fresh, mode, failed);
    out << content;
    out.close();
    if (!out) return failErrno(fmt::format("write {}", fresh.string()), errno);
    if (!failed) TRY_VOID(giveToFolderOwner(fresh));
    if (!failed) std::filesystem::rename(fresh, file, failed);
    if (failed) return failErrno(fmt::format("write {}", file.string()), failed.value());
    return {};
}

}  // namespace

std::optional<std::string> readFile(const std::filesystem::path& file)
{
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<> replaceFile(const std::filesystem::path& file, std::string_view content)
{
    return replace(file, content, perms::unknown);
}

Result<> replacePrivateFile(const std::filesystem::path& file, std::string_view content)
{
    return replace(file, content, perms::owner_read | perms::owner_write);
}

}  // namespace slipway
