// The certificates of the endpoint's TCP listener, made when they are first needed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "shared/tls/tls_context.h"

namespace slipway {

// Below `folder`: ca.pem and ca-key.pem, Slipway's own authority; server/, made anew at each call
// for these `hosts`; client/, what a client shows, which is made once and stays good. A client's
// folder has the names that docker looks for. All of it is its owner's alone.
Result<TlsFiles> serverCertificates(const std::filesystem::path& folder,
                                    const std::vector<std::string>& hosts);

}  // namespace slipway
