#include "wsl-bridge/engine/bind_spec.h"

#include <algorithm>
#include <filesystem>

namespace slipway {

std::optional<BindSpec> parseBind(std::string_view text)
{
    std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || !text.starts_with('/')) return std::nullopt;
    std::string_view after = text.substr(colon + 1);
    if (!after.starts_with('/')) return std::nullopt;  // No destination: dockerd refuses it.
    std::size_t end = std::min(after.find(':'), after.size());
    return BindSpec{std::string(text.substr(0, colon)), std::string(after.substr(0, end)),
                    std::string(after.substr(end))};
}

bool isBind(std::string_view mountOptions)
{
    while (!mountOptions.empty()) {
        std::string_view option = mountOptions.substr(0, mountOptions.find(','));
        if (option == "bind" || option == "rbind") return true;
        mountOptions.remove_prefix(std::min(option.size() + 1, mountOptions.size()));
    }
    return false;
}

std::string tidyDestination(std::string_view destination)
{
    std::string tidy = std::filesystem::path(destination).lexically_normal().generic_string();
    while (tidy.size() > 1 && tidy.back() == '/') tidy.pop_back();
    return tidy;
}

}  // namespace slipway
