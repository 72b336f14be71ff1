// The docker context that names Slipway's endpoint, kept as the docker CLI keeps its own:
// <config>/contexts/meta/<SHA-256 of the name>/meta.json (docker/cli, cli/context/store/doc.go).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "shared/paths/home.h"

namespace slipway {

// DOCKER_CONFIG, else ~/.docker of `user`.
std::filesystem::path dockerConfigDir(const User& user);

// The one that `docker` uses in this environment, DOCKER_HOST apart: DOCKER_CONTEXT, else what
// `docker context use` chose, else "default" (docker/cli, cli/command/cli.go, resolveContextName).
std::string currentContext(const User& user);

// Makes the context `name` lead to `endpoint`, or leaves it if it does. Neither the current context
// nor any other one changes, and what it creates belongs to `user`.
Result<> makeContext(const User& user, std::string_view name, std::string_view endpoint);

// Removes the context if it leads to `endpoint`, and docker's folders that are empty then; another
// one of that name stays. None is no error.
Result<> removeContext(const User& user, std::string_view name, std::string_view endpoint);

}  // namespace slipway
