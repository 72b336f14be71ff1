#include "wsl-bridge/engine/other_platform.h"

#include <algorithm>
#include <array>
#include <string>

namespace slipway {

// A Linux engine that is asked for an image of windows/amd64 names that platform; one that pulls a
// list of manifests names its own, for which there is none.
bool isAboutOtherPlatform(std::string_view message, std::string_view platform)
{
    static constexpr std::array<std::string_view, 2> kPlatforms = {"linux", "windows"};
    auto says = [&](std::string_view text) { return message.find(text) != message.npos; };
    auto names = [&](std::string_view other) {
        return other != platform &&
               (says(std::string(other) + "/") || says("operating system \"" + std::string(other)));
    };
    if (says("operating system is not supported")) return true;
    return says("no matching manifest for " + std::string(platform)) ||
           (says("platform") && std::any_of(kPlatforms.begin(), kPlatforms.end(), names));
}

}  // namespace slipway
