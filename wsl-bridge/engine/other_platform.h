// Error messages of an engine that has met an image made for another operating system.
#pragma once

#include <string_view>

namespace slipway {

// `platform` is the engine's own: linux, or windows. The messages are dockerd's (moby/moby,
// distribution/pull_v2.go and daemon/images/image.go).
bool isAboutOtherPlatform(std::string_view message, std::string_view platform);

}  // namespace slipway
