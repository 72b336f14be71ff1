// Who may connect to the endpoint.
#pragma once

#include <filesystem>

#include "shared/core/error.h"
#include "shared/paths/home.h"

namespace slipway {

// Makes a socket file `user`'s own, so that a bridge under sudo serves the person who started it.
Result<> giveSocketTo(const std::filesystem::path& socket, const User& user);

}  // namespace slipway
