#include "linux-vm-agent/engine/refused_keys.h"

#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"

namespace slipway {

std::optional<RefusedKeys> storedRefusedKeys()
{
    std::ifstream file(kRefusedKeysFile, std::ios::binary);
    RefusedKeys refused;
    if (!std::getline(file, refused.reason)) return std::nullopt;
    refused.daemonJson.assign(std::istreambuf_iterator<char>(file), {});
    return refused;
}

Result<> store(const RefusedKeys& refused)
{
    std::ofstream file(kRefusedKeysFile, std::ios::trunc | std::ios::binary);
    file << refused.reason << '\n' << refused.daemonJson;
    file.close();
    if (file) return {};
    return fail(Code::Unavailable,
                fmt::format("write {}: no room on the machine's /run", kRefusedKeysFile));
}

}  // namespace slipway
