#include "shared/core/replace_file.h"

#include <cerrno>
#include <fstream>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"

namespace slipway {

Result<> replaceFile(const std::filesystem::path& file, std::string_view content)
{
    std::filesystem::path fresh = file;
    fresh += ".new";
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << content;
    out.close();
    if (!out) return failErrno(fmt::format("write {}", fresh.string()), errno);
    TRY_VOID(giveToFolderOwner(fresh));
    std::error_code failed;
    std::filesystem::rename(fresh, file, failed);
    if (failed) return failErrno(fmt::format("write {}", file.string()), failed.value());
    return {};
}

}  // namespace slipway
