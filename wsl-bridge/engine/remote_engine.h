// The way to an engine that is not the machine's.
#pragma once

#include <optional>

#include "shared/io/loop.h"
#include "shared/tls/tls_context.h"
#include "wsl-bridge/engine/engine_address.h"
#include "wsl-bridge/engine/engine_presence.h"

namespace slipway {

// Dials over TCP, by whichever of the host's addresses answers first in their order, or over a unix
// socket; inside TLS if there is a context for it. An attempt ends after ten seconds.
DialEngine engineAt(Loop& loop, EngineAddress address, std::optional<TlsContext> tls);

}  // namespace slipway
